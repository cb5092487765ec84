"""Sentences around a label: template sets by name."""

import difflib
from collections.abc import Iterable, Sequence
from types import MappingProxyType

from olmv.arguments import kind_of
from olmv.errors import VocabularyError

__all__ = ["DEFAULT_TEMPLATES", "TEMPLATE_SETS", "apply", "resolve"]

SLOT = "{}"


def _open_vclip() -> tuple[str, ...]:
    # the published set is a product, and says "a example": the weights were trained with these very strings
    heads = ("a photo of", "a video of", "a example of", "a demonstration of")
    tails = (
        "",
        "a person",
        *(f"a person {verb}" for verb in ("using", "doing", "during", "performing", "practicing")),
    )
    return tuple(" ".join(part for part in (head, tail, "{}.") if part) for head in heads for tail in tails)


TEMPLATE_SETS = MappingProxyType(
    {
        "none": ("{}",),
        "video": (
            "a video of {}.",
            "footage that shows {}.",
            "{}, filmed with a camera.",
            "a video clip with {} in it.",
        ),
        "photo": ("a photo of {}.", "a person {}."),
        "open-vclip": _open_vclip(),
    }
)
"""Template sets by name. More templates cost more text encoding, never more work per video."""

DEFAULT_TEMPLATES = "video"


def apply(template: str, text: str) -> str:
    """Put `text` in the slot of `template`. Braces in the text are only characters."""
    before, _, after = template.partition(SLOT)
    return before + text + after


def resolve(templates: str | Sequence[str]) -> tuple[str, ...]:
    """Return the templates meant by the name of a set, by one template, or by a list of templates.

    Raises:
        VocabularyError: no set has this name, the list is empty, or a template has not exactly one `{}`.
    """
    if isinstance(templates, str):
        if templates in TEMPLATE_SETS:
            return TEMPLATE_SETS[templates]
        if SLOT not in templates:
            close = difflib.get_close_matches(templates, TEMPLATE_SETS, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise VocabularyError(
                f"no template set {templates!r}; {hint}choose from {', '.join(TEMPLATE_SETS)}, "
                "or write a template with {}"
            )
        templates = (templates,)
    if not isinstance(templates, Iterable):
        raise VocabularyError(f"the templates are {kind_of(templates)}; give the name of a set, or sentences with {{}}")
    templates = tuple(templates)
    if not templates:
        raise VocabularyError("the list of templates is empty; use templates='none' for the bare label")
    for template in templates:
        if not isinstance(template, str) or template.count(SLOT) != 1:
            raise VocabularyError(f"template {template!r} must have exactly one {{}}, where the label goes")
    return templates
