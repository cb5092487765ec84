"""Packages that are not installed, as far as a test is concerned."""

import sys

import pytest

__all__ = ["hide"]


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Make packages look as if they were not installed: they are not found, and importing them fails."""
    for package in packages:
        for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)
