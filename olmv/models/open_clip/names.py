"""open_clip's models by name, and what is known of them without their weights.

ARCH/PRETRAINED        weights that open_clip knows, such as ViT-B-32/openai
hf-hub:ORG/REPO        a model on the Hugging Face Hub
local-dir:FOLDER       the same in a folder
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from olmv.errors import ModelError, ModelNotFoundError, WeightsUnavailableError, reason
from olmv.io.network import fetching
from olmv.labels.quality import TextLimit
from olmv.models.default import DEFAULT_MODEL
from olmv.models.family import ModelInfo
from olmv.models.open_clip.config import CONFIG_NAME, check_open_clip_tokenizer, read_open_clip_config
from olmv.models.open_clip.towers import open_clip_token_counts
from olmv.models.storage.tokenizer_check import check_hub_tokenizer

__all__ = ["OpenClipName", "check_name", "info", "known_names", "text_limit", "tokenizer_limit"]

_HUB, _FOLDER = "hf-hub:", "local-dir:"


@dataclass(frozen=True)
class OpenClipName:
    """A name that open_clip reads, in its parts.

    Attributes:
        text: as the user wrote it.
        repo: ORG/REPO on the Hub, or None.
        folder: of a local model, or None.
    """

    text: str
    repo: str | None = None
    folder: Path | None = None

    @classmethod
    def parse(cls, text: str) -> "OpenClipName":
        """Take a name apart; any text is one."""
        repo = text.removeprefix(_HUB) if text.startswith(_HUB) else None
        return cls(text, repo, Path(text.removeprefix(_FOLDER)) if text.startswith(_FOLDER) else None)

    @classmethod
    def in_folder(cls, folder: Path) -> "OpenClipName":
        """Name the model in this folder."""
        return cls(f"{_FOLDER}{folder}", folder=folder)

    @property
    def architecture(self) -> str:
        return self.text.partition("/")[0]

    @property
    def pretrained(self) -> str | None:
        """Return which weights of the architecture; None where the folder or the repository has them."""
        return None if self.repo is not None or self.folder is not None else self.text.partition("/")[2]

    @property
    def source(self) -> str:
        """Return what open_clip's own functions take for the name of a model."""
        return self.architecture if self.pretrained is not None else self.text


@lru_cache(maxsize=1)
def known_names() -> tuple[str, ...]:
    """List every ARCH/PRETRAINED that open_clip knows."""
    import open_clip

    return tuple(f"{architecture}/{pretrained}" for architecture, pretrained in open_clip.list_pretrained())


def check_name(name: OpenClipName, others: Iterable[str] = ()) -> None:
    """Check that there can be such a model, without asking the network.

    Args:
        name: any.
        others: names beside open_clip's that a user may have meant.

    Raises:
        ModelNotFoundError: open_clip knows no such weights (close matches are named), or the folder holds no model.
    """
    if name.folder is not None and not (name.folder / CONFIG_NAME).is_file():
        raise ModelNotFoundError(f"no open_clip model in '{name.folder}': {CONFIG_NAME} is missing")
    if name.pretrained is None or name.text in (known := known_names()):
        return
    text = name.text
    if Path(text).is_dir():
        raise ModelNotFoundError(f"the folder '{text}' holds no config.json; is it a model that olmv saved?")
    plain = {re.sub(r"[^a-z0-9]", "", k.lower()): k for k in (*known, *others)}
    matches = difflib.get_close_matches(re.sub(r"[^a-z0-9]", "", text.lower()), plain, n=4, cutoff=0.5)
    hint = f"did you mean {', '.join(plain[k] for k in matches)}?" if matches else "`olmv models list` names them all"
    if re.fullmatch(r"[\w.-]+/[\w.-]+", text):
        hint = f"{hint.rstrip('?')}; one on the Hub is hf:{text}"
    raise ModelNotFoundError(f"no model is called '{text}'; {hint}")


def info(name: OpenClipName) -> ModelInfo:
    """Tell what is known of a checked name without loading weights; raises ModelError for a folder of no use."""
    if name.repo is not None:
        return ModelInfo(
            name.text, "open_clip", name.repo, None, None, None, False, "an open_clip model on the hub"
        )  # fmt: skip
    if name.folder is not None:
        architecture = name.text.removeprefix(_FOLDER)
        config = read_open_clip_config(name.folder)
    else:
        import open_clip

        architecture = name.architecture
        config = open_clip.get_model_config(architecture) or {}
    size = config.get("vision_cfg", {}).get("image_size")
    loss = (
        "sigmoid-trained: probabilities of its own"
        if "init_logit_bias" in config
        else "softmax-trained: scored against everyday words"
    )
    return ModelInfo(
        name.text, "open_clip", architecture, size[0] if isinstance(size, list) else size, config.get("embed_dim"),
        config.get("text_cfg", {}).get("context_length", 77), False,
        loss + ("; the default" if name.text == DEFAULT_MODEL else ""),
    )  # fmt: skip


def text_limit(name: OpenClipName) -> TextLimit:
    """Tell how long a text the model of a checked name reads; raises as `tokenizer_limit`."""
    return tokenizer_limit(name, title=name.text, templates="video")


def tokenizer_limit(name: OpenClipName, *, title: str, templates: str) -> TextLimit:
    """Tell how long a text a model reads, by its tokenizer.

    Args:
        name: where it is.
        title, templates: of the model, for the result.

    Raises:
        ModelError: the tokenizer cannot be used.
        WeightsUnavailableError: it is not here and cannot be fetched.
    """
    import open_clip

    if name.folder is not None:
        check_open_clip_tokenizer(name.folder, read_open_clip_config(name.folder))
    try:
        with fetching():
            config: dict[str, Any] = open_clip.get_model_config(name.source) or {}
            if name.repo is not None:
                check_hub_tokenizer(name.repo, config)
            tokenizer = open_clip.get_tokenizer(name.source)
    except ModelError:
        raise
    except Exception as error:  # hub, network, file and format errors have no common class
        raise WeightsUnavailableError(
            f"the tokenizer of '{title}' cannot be had ({reason(error)}); get on line once, or name another model",
            option="model",
        ) from None
    context = getattr(tokenizer, "context_length", None) or config.get("text_cfg", {}).get("context_length", 77)
    return TextLimit(title, int(context), templates, lambda texts: open_clip_token_counts(tokenizer, texts))
