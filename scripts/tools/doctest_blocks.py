"""For mkdocs.yml: examples in docstrings, lines that begin with `>>>`, become blocks of code in the documentation."""

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"(?:^>>> .*\n(?:^(?:>>>|\.\.\.).*\n?)*)", re.MULTILINE)


class DoctestBlocks(griffe.Extension):
    """Fence the examples of every docstring; without the marks, so that they can be copied."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of one object, before it is parsed."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(_fenced, obj.docstring.value + "\n").rstrip()


def _fenced(example: re.Match[str]) -> str:
    lines = [re.sub(r"^(?:>>>|\.\.\.) ?", "", line) for line in example[0].splitlines()]
    return "\n".join(("```python", *lines, "```")) + "\n"
