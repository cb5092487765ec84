"""What both captioners do with transformers: load (offline at once, safetensors only, no foreign code) and decode."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from olmv.devices import Placement
from olmv.errors import CaptionerUnavailableError
from olmv.io import network
from olmv.llm import pretrained
from olmv.llm.pretrained import quiet_transformers

__all__ = ["OPTIONS", "Source", "answers", "free", "greedy", "unavailable"]

OPTIONS = ("attn_implementation", "device_map", "max_memory", "offload_folder", "revision")
"""What `from_pretrained` takes from a user; device and dtype have words of their own."""


@dataclass(frozen=True)
class Source:
    """Where a model's files come from.

    Args:
        model: a folder or a hub id.
        revision: of the hub repository.
        local_only: ask only what is on this machine.
    """

    model: str
    revision: str | None
    local_only: bool

    @classmethod
    def find(cls, model: str, revision: str | None) -> "Source":
        """Look once whether the hub answers; its client would try for 45 s at every file."""
        return cls(model, revision, Path(model).is_dir() or not network.is_online())

    def read(self, kind: Any, **options: Any) -> Any:
        """Call `kind.from_pretrained` for a config, a processor or a model.

        Raises:
            CaptionerUnavailableError: it cannot be had.
        """
        try:
            with quiet_transformers(), network.quiet():
                return kind.from_pretrained(
                    self.model,
                    revision=self.revision,
                    local_files_only=self.local_only,
                    trust_remote_code=False,
                    **options,
                )
        except Exception as failure:
            raise unavailable(self, failure) from failure

    def processor(self, kind: Any, config: Any) -> Any:
        """Return the processor, with a tokenizer that can spell.

        Raises:
            CaptionerUnavailableError: it cannot be had, or its tokenizer is missing.
        """
        processor = self.read(kind)
        tokenizer = getattr(processor, "tokenizer", None)
        if tokenizer is None or getattr(processor, "image_processor", None) is None:
            raise CaptionerUnavailableError(f"{self.model} cannot read pictures; choose an image-text-to-text model")
        # without its files transformers makes up an empty tokenizer, and every caption would be empty too
        if len(tokenizer) < _vocabulary(config) / 2:
            raise CaptionerUnavailableError(
                f"{self.model} holds no tokenizer ({len(tokenizer)} tokens, the model has {_vocabulary(config)}); "
                "put its tokenizer files beside the weights"
            )
        return processor

    def weights(self, kind: Any, placement: Placement, options: Mapping[str, Any]) -> Any:
        """Return the model, in evaluation mode, where it is to run.

        Raises:
            CaptionerUnavailableError: it cannot be had, or some of its weights are missing.
        """
        if _only_pickled(self.model):
            raise CaptionerUnavailableError(
                f"{self.model} holds its weights as pickle, which can run code; convert them to safetensors "
                "(load them once where you trust them, then save_pretrained)"
            )
        model, report = self.read(
            kind, dtype=placement.dtype, use_safetensors=True, output_loading_info=True, **dict(options)
        )
        # transformers fills these at random and only warns: the captions would be noise
        wrong = sorted(set(report["missing_keys"]) & {name for name, _ in model.named_parameters()})
        if wrong:
            raise CaptionerUnavailableError(
                f"{self.model} lacks {len(wrong)} of its weights ({wrong[0]}, ...); its files are not all here, "
                "get them again"
            )
        try:
            # with a device map accelerate has already placed it
            return (model if "device_map" in options else model.to(placement.device)).eval()
        except Exception as failure:  # most likely it is too large
            raise unavailable(self, failure) from failure


def unavailable(source: Source, failure: BaseException) -> CaptionerUnavailableError:
    """Return the error for a model that cannot be loaded: why, and what to do."""
    text = str(failure)
    if "trust_remote_code" in text:
        return CaptionerUnavailableError(
            f"{source.model} needs code from its repository, which olmv does not run; choose another model"
        )
    if isinstance(failure, torch.OutOfMemoryError):
        return CaptionerUnavailableError(
            f"{source.model} does not fit in memory; choose a smaller model or dtype, or give device_map=auto"
        )
    if "tokenizer" in text and _without_tokenizer(source.model):
        return CaptionerUnavailableError(
            f"{source.model} holds no tokenizer; put its tokenizer files beside the weights"
        )
    if "safetensors" in text and "file named" in text:
        return CaptionerUnavailableError(
            f"{source.model} has no weights in safetensors: get the model again, or choose another one"
        )
    if "ignore_mismatched_sizes" in text:
        return CaptionerUnavailableError(f"the weights of {source.model} do not fit its config.json; get both again")
    message = str(pretrained.unavailable(source.model, failure, local_only=source.local_only))
    if Path(source.model).is_dir() and not isinstance(failure, ImportError):  # that one says what to install
        advice = "choose eager or sdpa" if "attn_implementation" in text else "get its files again, or another model"
        message = f"{message}; {advice}"
    return CaptionerUnavailableError(message)


def greedy(tokenizer: Any, max_tokens: int, ends_of: Iterable[Any]) -> Any:
    """Return a generation config without chance, ending where the tokenizer or any of these configs ends a text."""
    from transformers import GenerationConfig

    candidates = [tokenizer.eos_token_id, *(getattr(config, "eos_token_id", None) for config in ends_of)]
    ends = sorted({int(e) for end in candidates if end is not None for e in (end if isinstance(end, list) else [end])})
    padding = tokenizer.pad_token_id
    # what is left open here is filled in from the model's own generation config
    return GenerationConfig(
        max_new_tokens=max_tokens,
        do_sample=False,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        num_beams=1,
        eos_token_id=ends or None,
        pad_token_id=padding if padding is not None else next(iter(ends), 0),
    )


def answers(tokenizer: Any, output: Tensor, prompt: Tensor) -> list[str]:
    """Return the texts without the prompt: a decoder repeats it before the answer, an encoder-decoder does not.

    Args:
        tokenizer: the model's.
        output: [N, tokens], from `generate`.
        prompt: [N, tokens], what it was given.
    """
    length = prompt.shape[1]
    if output.shape[1] >= length and torch.equal(output[:, :length], prompt.to(output.device)):
        output = output[:, length:]
    return [text.strip() for text in tokenizer.batch_decode(output, skip_special_tokens=True)]


def free() -> None:
    """Give back what torch still holds of a GPU's memory."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _vocabulary(config: Any) -> int:
    """Tell how many tokens the language part knows."""
    return int(getattr(config.get_text_config(), "vocab_size", None) or 0)


def _only_pickled(model: str) -> bool:
    folder = Path(model)
    return folder.is_dir() and any(folder.glob("*.bin")) and not any(folder.glob("*.safetensors"))


def _without_tokenizer(model: str) -> bool:
    folder = Path(model)
    known = ("tokenizer.json", "tokenizer.model", "vocab.*", "*.model", "*.tiktoken", "tekken.json")
    return folder.is_dir() and not any(any(folder.glob(pattern)) for pattern in known)
