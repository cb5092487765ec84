import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.errors import VocabularyError
from olmv.labels.label import Label
from olmv.labels.templates import DEFAULT_TEMPLATES, TEMPLATE_SETS, apply, resolve
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary


def test_open_vclip_templates_as_published() -> None:
    templates = TEMPLATE_SETS["open-vclip"]
    assert len(templates) == len(set(templates)) == 28
    for expected in (
        "a photo of {}.",
        "a example of a person {}.",
        "a demonstration of a person practicing {}.",
    ):
        assert expected in templates


def test_every_set_can_be_used() -> None:
    for name, templates in TEMPLATE_SETS.items():
        assert resolve(name) == templates == resolve(templates)
        assert len(set(templates)) == len(templates)
    assert DEFAULT_TEMPLATES in TEMPLATE_SETS


@given(st.text())
def test_apply_leaves_the_text_alone(text: str) -> None:
    assert apply("a video of {}.", text) == f"a video of {text}."


def test_resolve_one_template() -> None:
    assert resolve("art of {}") == ("art of {}",)


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ("vidio", r"no template set 'vidio'; did you mean 'video'\? choose from none, video, photo, open-vclip"),
        ("zzz", "no template set 'zzz'; choose from none"),
        ([], "the list of templates is empty; use templates='none'"),
        (["a dog"], r"template 'a dog' must have exactly one \{\}"),
        ("{} and {}", r"must have exactly one \{\}, where the label goes"),
    ],
)
def test_resolve_refuses(templates: str | list[str], message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        resolve(templates)


def test_build_texts() -> None:
    vocabulary = Vocabulary([Label("dog", ("canine", "dog"), ("a tail", "canine")), "rain"])
    texts = build_texts(vocabulary, ["{}", "see {}"])
    assert texts.labels == ("dog", "rain")
    assert texts.phrases == ("dog", "canine", "a tail", "rain")
    assert texts.kind_of_phrase == ("name", "alias", "attribute", "name")
    assert texts.label_of_phrase == (0, 0, 0, 1)
    assert texts.texts == (
        *("dog", "see dog", "canine", "see canine"),
        *("a tail", "see a tail", "rain", "see rain"),
    )
    assert texts.phrase_of_text == (0, 0, 1, 1, 2, 2, 3, 3)
    assert texts.label_of_text == (0, 0, 0, 0, 0, 0, 1, 1)
    assert texts.kind_of_text == ("name", "name", "alias", "alias", "attribute", "attribute", "name", "name")
    assert texts.templates == ("{}", "see {}")
    assert repr(texts) == "LabelTexts(labels=2, phrases=4, texts=8)"


def test_the_bare_label_is_always_one_of_its_texts() -> None:
    vocabulary = Vocabulary([Label("dog", attributes=("tail",)), "cat"])
    assert set(vocabulary.names) <= set(build_texts(vocabulary, "none").texts)
