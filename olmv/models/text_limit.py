"""How long a text a model's text tower reads, without loading its weights."""

from collections.abc import Callable, Sequence
from pathlib import Path

from olmv.errors import ModelError, WeightsUnavailableError, reason
from olmv.io.network import fetching
from olmv.labels.quality import TextLimit
from olmv.models.clip.towers import open_clip_token_counts
from olmv.models.registry import folder_of, model_info
from olmv.models.storage.folder import read_config, read_open_clip_config
from olmv.models.storage.tokenizer_check import check_hub_tokenizer, check_tokenizer_folder, read_tokenizer

__all__ = ["text_limit"]


def text_limit(name: str | Path) -> TextLimit:
    """The text limit of a model by name or folder (names as for `olmv.load_model`).

    Raises:
        ModelNotFoundError: no such name; close matches are named.
        ModelError: a folder that holds no usable model.
        WeightsUnavailableError: its tokenizer is not here and cannot be fetched.
    """
    info = model_info(name)
    text = str(name)
    templates = "video"
    if (folder := folder_of(text)) is not None:
        config = read_config(folder)
        if info.family == "xclip":
            from open_clip.tokenizer import SimpleTokenizer

            tokenizer = SimpleTokenizer()
            context = info.context_length or tokenizer.context_length
            return TextLimit(text, context, "none", lambda texts: open_clip_token_counts(tokenizer, texts))
        templates = config["templates"]
        if info.family == "olmv":
            assert info.context_length is not None
            return TextLimit(text, info.context_length, templates, _mini_counter(folder / "tokenizer.json"))
        text = f"local-dir:{folder}"
    import open_clip

    source = text if text.startswith(("hf-hub:", "local-dir:")) else info.architecture
    if text.startswith("local-dir:"):
        local = Path(text.removeprefix("local-dir:"))
        if read_open_clip_config(local)["text_cfg"].get("hf_tokenizer_name"):
            check_tokenizer_folder(local)
    try:
        with fetching():
            config = open_clip.get_model_config(source) or {}
            if text.startswith("hf-hub:"):
                check_hub_tokenizer(text.removeprefix("hf-hub:"), config)
            tokenizer = open_clip.get_tokenizer(source)
    except ModelError:
        raise
    except Exception as error:  # hub, network, file and format errors have no common class
        raise WeightsUnavailableError(
            f"the tokenizer of '{name}' cannot be had ({reason(error)}); get on line once, or name another --model"
        ) from None
    context = getattr(tokenizer, "context_length", None) or config.get("text_cfg", {}).get("context_length", 77)
    return TextLimit(str(name), int(context), templates, lambda texts: open_clip_token_counts(tokenizer, texts))


def _mini_counter(file: Path) -> Callable[[Sequence[str]], list[int]]:
    tokenizer = read_tokenizer(file)
    return lambda texts: [len(encoded.ids) for encoded in tokenizer.encode_batch(list(texts))]
