"""Which model runs where nobody names one, and what must be known of those that ship."""

import logging
import os
from functools import lru_cache
from pathlib import Path

from olmv.io.network import PATIENCE_S, is_online

__all__ = [
    "DEFAULT_MODEL",
    "DEFAULT_REPO",
    "LITE",
    "MINI",
    "SHIPPED",
    "chosen_model",
    "default_model",
    "drawings_note",
    "model_note",
]

log = logging.getLogger(__name__)

# Of what open_clip offers, Meta's Perception Encoder (arXiv 2504.13181) is the one also trained on captioned
# videos; its authors report it ahead of SigLIP2 and InternVideo2 zero-shot. Not run here: no weights to be had.
DEFAULT_MODEL = "PE-Core-L-14-336/meta"
LITE, MINI = "olmv-lite", "olmv-mini"
SHIPPED = {name: Path(__file__).parent / name for name in (LITE, MINI)}
"""Models that come with olmv -> their folders."""
DEFAULT_REPO = "timm/PE-Core-L-14-336"
"""Where open_clip gets the weights of `DEFAULT_MODEL`; written out, because importing open_clip takes seconds."""
_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def chosen_model(name: str | Path | None) -> tuple[str, str | None]:
    """Return the model that a user named, here or in `OLMV_MODEL`, or else the default.

    Returns:
        Its name; and a line for the user where it is not `DEFAULT_MODEL` but what ships in its place.
    """
    name = name or os.environ.get("OLMV_MODEL")
    if name:
        return str(name), None
    chosen = default_model()
    if chosen == DEFAULT_MODEL:
        return chosen, None
    return chosen, (
        f"{DEFAULT_MODEL}, the default, cannot be had here: running {chosen}, a small model that ships with olmv; "
        "name another model"
    )


@lru_cache(maxsize=1)
def default_model() -> str:
    """Return `DEFAULT_MODEL` where its weights are in the cache or the Hub has them for us, else olmv-lite.

    Takes at most some seconds; asked once in the life of a process, so that a run does not change its model half-way.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

    if any(isinstance(try_to_load_from_cache(DEFAULT_REPO, file), str) for file in _FILES):
        return DEFAULT_MODEL
    if not is_online():
        return LITE
    for file in _FILES:
        try:
            get_hf_file_metadata(hf_hub_url(DEFAULT_REPO, file), timeout=PATIENCE_S)
        except Exception as error:  # of the network, a proxy, the Hub; they have no common class
            log.debug("%s of %s cannot be had: %s", file, DEFAULT_REPO, error)
        else:
            return DEFAULT_MODEL
    return LITE


def drawings_note(name: str) -> str | None:
    """Return the warning that every verb gives of a model that knows drawings, or None."""
    if MINI in name:
        return "olmv-mini knows drawings, not footage: on real video its answers mean nothing"
    return None


def model_note(name: str) -> str | None:
    """Return what a reader must know of a model before believing its figures, or None."""
    if LITE in name:
        return "olmv-lite is small: it knows things and scenes better than actions, and nothing of faces or text"
    return drawings_note(name)
