"""What a caller gave: names of options, labels, counts, numbers; what cannot be used is told in one line.

Python hands on whatever it is given, and fails far from there. So what a public call takes is checked where it comes
in, and a slip of the keyboard is answered with the word that was meant.
"""

import difflib
import functools
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

from olmv.errors import UsageError

__all__ = [
    "check_count",
    "check_labelled",
    "check_number",
    "check_path",
    "check_probability",
    "kind_of",
    "named_options",
    "plain_number",
    "unknown_option",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def named_options(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a function answer an option that it does not have with UsageError and the name that was meant.

    Its signature stays what it is, for `help`, for editors and for type checkers.
    """
    names = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in ("self", "cls") and parameter.kind is not parameter.POSITIONAL_ONLY
    ]
    known = frozenset(names)

    @functools.wraps(function)
    def checked(*arguments: _P.args, **options: _P.kwargs) -> _R:
        if not known.issuperset(options):
            raise unknown_option(next(name for name in options if name not in known), names)
        return function(*arguments, **options)

    return checked


def unknown_option(name: str, names: Iterable[str]) -> UsageError:
    """Return the error of an option that there is not, with the closest of those that there are, or else all."""
    there = list(names)
    return UsageError(f"no option {name!r}; {_meant(name, there) or 'there are ' + ', '.join(there)}")


def kind_of(value: Any) -> str:
    """Say what a value is: `None`, `a str`, `an int`."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def check_count(name: str, value: Any, *, least: int = 1, option: str = "") -> None:
    """Raise UsageError unless a value is a whole number that is not below `least`.

    Args:
        name: how to call it.
        value: what was given.
        least: of it.
        option: that mends it, where that is not `name`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise UsageError(f"{name} is {value!r:.40}; give a whole number, {least} or more", option=option or name)
    if value < least:
        raise UsageError(f"{name} is {value}; it must be at least {least}", option=option or name)


def check_number(name: str, value: Any, *, what: str = "a number", option: str = "") -> None:
    """Raise UsageError unless a value is a number, in whatever range; `what` is one, in words."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f"{name} is {value!r:.40}; give {what}", option=option or name)


def check_probability(name: str, value: Any, *, option: str = "") -> None:
    """Raise UsageError unless a value is a number from 0 to 1."""
    check_number(name, value, what="a number from 0 to 1", option=option)
    if not 0 <= value <= 1:
        raise UsageError(f"{name} is {value:g}; give a number from 0 to 1", option=option or name)


def plain_number(value: Any) -> Any:
    """Return a number of numpy as Python's float; whatever else it is, as it is."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else value


def check_path(what: str, value: Any, *, error: type[UsageError] = UsageError) -> None:
    """Raise an error unless a value is a path that is not empty.

    An empty one would be the folder that one happens to work in.
    """
    if not isinstance(value, str | os.PathLike):
        raise error(f"{what} is {kind_of(value)}; give its path")
    if value == "":
        raise error(f"{what} is an empty text; give its path")


def check_labelled(what: str, given: Any, labels: Iterable[str], *, loader: str) -> None:
    """Check what was given by label in a call: of these labels, and of no other.

    Files are often made for more labels than one call asks, so their values are not checked here. In a call, another
    label is one that was misspelt.

    Args:
        what: how to call it ("thresholds").
        given: what should be a dict.
        labels: that are asked.
        loader: what reads it from a file ("Thresholds.load").

    Raises:
        UsageError: it is no dict, or has a label that is not among these.
    """
    if not isinstance(given, Mapping):
        raise UsageError(f"{what} are {kind_of(given)}; give a dict by label, or {loader}(FILE)", option=what)
    names = list(labels)
    asked = set(names)
    for label in given:
        if label not in asked:
            remedy = _meant(str(label), names) or "ask it, too, or leave it out"
            raise UsageError(f"{what} are given for {str(label)[:80]!r}, which is no label here; {remedy}", option=what)


def _meant(name: str, names: Iterable[str]) -> str:
    """Ask whether the closest of the names was meant; empty where none is close."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"did you mean {close[0]!r}?" if close else ""
