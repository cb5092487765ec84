"""The jinja2 of prompts: a sandbox in which a text of strangers neither runs for ever nor fills the memory.

jinja2's own sandbox bounds one `range`, not two loops inside each other, and no text that is made longer. So a prompt
has `if`, `for` and `set` only, its loops are counted, and no operation makes more than `MAX_CHARS`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

__all__ = ["MAX_CHARS", "MAX_STEPS", "PromptEnvironment"]

MAX_STEPS = 20_000
"""Steps of all loops in one text."""
MAX_CHARS = 1_000_000
"""Of one filled-in text, and of whatever a `*` makes."""
_STEPS = "_olmv_steps"
_GROWING = frozenset((
    "center", "expandtabs", "format", "format_map", "join", "ljust", "replace", "rjust", "translate", "zfill",
))  # fmt: skip
_LEFT_OUT = ("batch", "center", "format", "indent", "replace", "slice", "urlize", "wordwrap", "xmlattr")
_STATEMENTS = (
    nodes.Macro, nodes.CallBlock, nodes.AssignBlock, nodes.FilterBlock, nodes.Block, nodes.Extends, nodes.Include,
    nodes.Import, nodes.FromImport,
)  # fmt: skip


class PromptEnvironment(ImmutableSandboxedEnvironment):
    """The environment that prompts are made in; `prepared` and `filled` are its two doors."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True, **options)
        for name in _LEFT_OUT:
            self.filters.pop(name, None)
        self.globals.pop("lipsum", None)
        self.filters |= {"_counted": _counted, "_joined": _joined, "join": _joined}

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Tell whether a template may read this attribute."""
        return attr not in _GROWING and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Leave `str.format`, which jinja2 would let through, to `is_safe_attribute`."""

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Return what `left operator right` gives.

        Raises:
            SecurityError: a longer text, a list, or a number of thousands of digits would come of it.
        """
        if operator == "+":
            return _bounded(left + right)
        if not all(isinstance(side, int | float) and abs(side) < 1e9 for side in (left, right)):
            raise SecurityError(f"a prompt may use '{operator}' with numbers up to 1e9 only")
        if operator == "**" and abs(right) > 64:
            raise SecurityError("a prompt may use '**' with powers up to 64 only")
        return super().call_binop(context, operator, left, right)

    def prepared(self, text: str) -> Template:
        """Compile this text, with every loop counted.

        Raises:
            TemplateError: it is no valid jinja2, or has statements that a prompt may not have.
        """
        tree = self.parse(text)
        for statement in tree.find_all(_STATEMENTS):
            name = type(statement).__name__
            raise TemplateError(f"line {statement.lineno} has a {name} statement; a prompt has if, for and set only")
        for chain in list(tree.find_all(nodes.Concat)):
            parts = nodes.List(chain.nodes, lineno=chain.lineno)
            chain.nodes = [nodes.Filter(parts, "_joined", [], [], None, None, lineno=chain.lineno)]
        for loop in list(tree.find_all(nodes.For)):
            loop.iter = nodes.Filter(loop.iter, "_counted", [], [], None, None, lineno=loop.lineno)
        tree.set_environment(self)
        return self.template_class.from_code(self, self.compile(tree), self.make_globals(None))

    def filled(self, template: Template, variables: Mapping[str, Any]) -> str:
        """Return the text of a template of `prepared`.

        Raises:
            TemplateError: a variable is missing, or the text is too long or has too many steps.
        """
        parts: list[str] = []
        length = 0
        for part in template.generate(variables, **{_STEPS: [0]}):
            parts.append(part)
            length += len(part)
            if length > MAX_CHARS:
                raise TemplateError(f"it makes more than {MAX_CHARS:,} characters; shorten it")
        return "".join(parts)


def _bounded(value: Any) -> Any:
    if isinstance(value, str | list | tuple) and len(value) > MAX_CHARS:
        raise TemplateError(f"it makes more than {MAX_CHARS:,} characters; shorten it")
    return value


def _joined(items: Iterable[Any], between: str = "", attribute: str | None = None) -> str:
    """Join as jinja2's `join` does, bounded."""
    parts: list[str] = []
    length = 0
    for item in items:
        parts.append(str(item if attribute is None else item[attribute]))
        length += len(parts[-1]) + len(between)
        if length > MAX_CHARS + len(between):
            raise TemplateError(f"it makes more than {MAX_CHARS:,} characters; shorten it")
    return between.join(parts)


@pass_context
def _counted(context: Context, items: Iterable[Any]) -> Iterator[Any]:
    steps = context[_STEPS]
    for item in items:
        steps[0] += 1
        if steps[0] > MAX_STEPS:
            raise TemplateError(f"its loops take more than {MAX_STEPS:,} steps; write fewer, or none inside another")
        yield item
