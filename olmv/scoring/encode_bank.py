"""Labels' texts through a model's text tower, into a bank; and those that are too long for it."""

from collections.abc import Callable
from functools import partial

from olmv.labels.background import background_texts
from olmv.labels.texts import LabelTexts
from olmv.models.base import VideoModel
from olmv.models.text_cache import encode_texts_cached
from olmv.scoring.bank import TextBank
from olmv.scoring.options import Mode
from olmv.scoring.prompted import PromptedBank

__all__ = ["encode_bank", "truncated_texts"]


def encode_bank(
    model: VideoModel,
    texts: LabelTexts,
    *,
    mode: Mode = "multi-label",
    progress: Callable[[int, int], None] | None = None,
) -> TextBank | PromptedBank:
    """Embed all texts; only those that the on-disk cache lacks are encoded.

    With a softmax-trained model, multi-label logits are measured against everyday words; the bank then has them as
    its background, in the same templates. A label that the model has an embedding of (`VideoModel.label_embeddings`)
    has it in the place of that of its name, whatever the templates. Of a model that prompts its texts it is a
    `PromptedBank`; both give the bank `for_video`.

    Args:
        model: that encodes.
        texts: of the labels.
        mode: that scores will be made in.
        progress: called with (done, all) while texts are encoded; what it raises ends the call.
    """
    needs_background = model.logit_bias is None and mode == "multi-label"
    words = background_texts(texts.templates) if needs_background else None
    prompts = [*texts.texts, *(words.texts if words is not None else ())]
    embeddings = encode_texts_cached(model, prompts, progress=progress).to(model.device)
    own, rest = embeddings[: len(texts.texts)], embeddings[len(texts.texts) :]
    if model.prompts_texts:
        make = partial(PromptedBank.from_texts, condition=model.condition)
        return make(texts, own, background=None if words is None else make(words, rest))
    background = None if words is None else TextBank.from_texts(words, rest)
    return TextBank.from_texts(texts, own, background=background, stored=model.label_embeddings)


def truncated_texts(model: VideoModel, texts: LabelTexts) -> list[tuple[str, str, int]]:
    """Return texts longer than the model reads: (label, text, number of tokens). Their ends are cut off."""
    limit = model.context_length
    # A token is at least one byte, so short texts need no counting; 10,000 labels stay quick.
    long = [index for index, text in enumerate(texts.texts) if len(text.encode()) + 2 > limit]
    counts = model.token_counts([texts.texts[index] for index in long]) if long else []
    owners = texts.label_of_text
    return [
        (texts.labels[owners[index]], texts.texts[index], count)
        for index, count in zip(long, counts, strict=True)
        if count > limit
    ]
