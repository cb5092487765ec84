"""Whether a text is English."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.labels.language import is_english
from olmv.llm.prompts import load_prompt, shipped_prompts


@pytest.mark.parametrize(
    "text",
    [
        "a brown dog on a lawn",
        "musicians in red-and-white uniforms",
        "a person's hand on a well-kept lawn",
        "two skateboarders rolling down a ramp",
    ],
)
def test_english(text: str) -> None:
    assert is_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "un perro marrón corriendo por el césped",
        "un chien brun qui court dans l'herbe",
        "ein brauner Hund läuft über die Wiese",
        "棕色的狗在草地上奔跑",
        "коричневая собака на траве",
        "xqzt blorf a dog",
    ],
)
def test_another_language(text: str) -> None:
    assert not is_english(text)


def test_names_count_as_known() -> None:
    assert not is_english("flurbon zwickl on wheels")
    assert is_english("flurbon zwickl on wheels", names="Flurbon")
    assert not is_english("flurbon zwickl on wheels", names="wheels")
    assert is_english("a flur-bon on wheels", names="Flur-Bon")


def test_the_prompts_that_ship_are_english() -> None:
    assert all(is_english(load_prompt(name).document.system) for name in shipped_prompts())


@given(st.text(max_size=100))
def test_any_text_is_told_apart(text: str) -> None:
    assert is_english(text) in (True, False)
    assert is_english(text, names=text)
