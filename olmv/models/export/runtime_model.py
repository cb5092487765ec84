"""A video CLIP whose frames ONNX Runtime or OpenVINO encodes, on the CPU; texts stay with torch, and are cached.

Measured on a CPU without bf16 instructions (`scripts/benchmarks/bench_export.py`), that is 1.05 to 1.25 times as fast
as torch in float32, and 9 times as fast as weights in bfloat16.
"""

import contextlib
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from olmv.errors import ModelError
from olmv.io.atomic import raise_output
from olmv.io.paths import cache_dir
from olmv.models.base import VideoEmbedding, VideoModel
from olmv.models.clip.model import VideoCLIP
from olmv.models.export.int8 import export_int8
from olmv.models.export.onnx import export_onnx
from olmv.models.export.runtimes import open_runtime
from olmv.models.fingerprint import digest_weights

__all__ = ["RuntimeModel", "with_runtime"]

log = logging.getLogger(__name__)


class RuntimeModel(VideoModel):
    """What `with_runtime` makes.

    Args:
        model: whose texts, scale and defaults these are.
        encode: pixels [B, T, 3, S, S], 0 to 255 -> rows [B, R, D] or videos [B, D], L2-normalised; see `open_runtime`.
        int8: `encode` computes in int8.
    """

    def __init__(self, model: VideoCLIP, encode: Callable[[Any], Any], *, int8: bool = False) -> None:
        # the graph normalises pixels itself
        raw = replace(model.preprocess, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))
        super().__init__(
            name=model.name, preprocess=raw, templates=model.templates, frame_pooling=model.frame_pooling
        )  # fmt: skip
        self.model = model
        self.temporal = model.temporal
        self.label_embeddings = model.label_embeddings
        self._encode = encode
        self._int8 = int8

    @property
    def dtype_name(self) -> str:
        return "int8" if self._int8 else super().dtype_name

    def state_dict(self, *args: Any, **options: Any) -> Any:
        """Return the weights of the model that this was made from, by their names there."""
        return self.model.state_dict(*args, **options)

    @property
    def embed_dim(self) -> int:
        return self.model.embed_dim

    @property
    def context_length(self) -> int:
        return self.model.context_length

    @property
    def logit_scale(self) -> float:
        return self.model.logit_scale

    @property
    def logit_bias(self) -> float | None:
        return self.model.logit_bias

    def encode_clips(self, frames: Tensor, mask: Tensor) -> list[VideoEmbedding]:
        counts = mask.sum(1).tolist()
        embeddings: dict[int, VideoEmbedding] = {}
        for count in set(counts):  # the graph knows no padding
            alike = [index for index, other in enumerate(counts) if other == count]
            encoded = torch.from_numpy(self._encode(frames[alike, :count].numpy()))
            embeddings |= {index: VideoEmbedding(rows) for index, rows in zip(alike, encoded, strict=True)}
        return [embeddings[index] for index in range(len(counts))]

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> Tensor:
        return self.model.encode_texts(texts, batch_size=batch_size)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return self.model.token_counts(texts)

    def text_parameters(self) -> list[tuple[str, Tensor]]:
        return self.model.text_parameters()

    def text_facts(self) -> tuple[object, ...]:
        return self.model.text_facts()


def with_runtime(model: VideoModel, kind: str, *, int8: bool = False) -> RuntimeModel:
    """Return the model with its frames encoded by another runtime.

    It is exported once, which takes seconds to a minute, and kept in olmv's cache by its weights.

    Args:
        model: on the CPU, in float32.
        kind: `onnx` or `openvino`.
        int8: in 8 bits instead of float32, of `onnx` only; see `olmv.models.export.int8`. A graph of its own is kept.

    Raises:
        UsageError: unknown kind, or a model that is elsewhere or in another dtype.
        ModelError: an X-CLIP, a tower that cannot be exported, or one that int8 changes too much.
        MissingDependencyError: the extra `onnx`, or `openvino`, is not installed.
        OutputError: the cache cannot be written.
    """
    if not isinstance(model, VideoCLIP):
        option = "the dtype int8" if int8 else "the runtime"
        raise ModelError(f"'{model.name}' is not a video CLIP and runs in torch only; leave out {option}")
    facts = (model.temporal, model.temporal_options, model.text_facts(), model.preprocess)
    made_by = [metadata.version(name) for name in ("olmv", "torch")] + ["int8"] * int8
    folder = cache_dir() / "onnx" / digest_weights(model.state_dict().items(), *facts, *made_by)[:32]
    if not (folder / "export.json").is_file():
        what = "in int8 " if int8 else ""
        log.warning("exporting %s %sfor the runtime %s, once; kept in %s", model.name, what, kind, folder)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            beside = tempfile.TemporaryDirectory(prefix=".export-", dir=folder.parent)
        except OSError as failure:
            raise_output(folder, failure)
        with beside as work:
            made = Path(work) / "made"
            if int8:
                export_int8(model, made)
            else:
                export_onnx(model, made, texts=False)
            with contextlib.suppress(OSError):  # another process was quicker; its export is the same
                made.rename(folder)
    encode = open_runtime(kind, folder, torch.get_num_threads())
    return RuntimeModel(model, encode, int8=int8).eval().requires_grad_(False)
