import re

from olmv.labels.background import BACKGROUND_WORDS, background_texts
from olmv.labels.templates import TEMPLATE_SETS


def test_the_words_are_bare_and_distinct() -> None:
    assert 200 <= len(BACKGROUND_WORDS) <= 400
    assert len({word.casefold() for word in BACKGROUND_WORDS}) == len(BACKGROUND_WORDS)
    assert [word for word in BACKGROUND_WORDS if not re.fullmatch(r"[a-z]+( [a-z]+)*", word)] == []


def test_they_are_worded_as_labels_are() -> None:
    templates = TEMPLATE_SETS["video"]
    texts = background_texts(templates)
    assert texts.labels == texts.phrases == BACKGROUND_WORDS
    assert texts.templates == templates
    assert texts.texts[:4] == tuple(template.format("dog") for template in templates)
    assert background_texts(["{}"]).texts == BACKGROUND_WORDS
