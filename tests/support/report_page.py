"""What stands in a page that olmv wrote: its elements, its text, and the data of a report."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

__all__ = ["EVIL", "Page", "ReportPage"]

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)><!--\n</script>'
"""A label or a name that tries whatever it can."""


class Page(HTMLParser):
    """Every element with its attributes, and all text that is no script."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.blocks: dict[str, Any] = {}
        self._block = ""
        self._content = ""
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag == "script" and attributes.get("type") == "application/json":
            self._block = attributes["id"] or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self._block:
            self.blocks[self._block] = json.loads(self._content)
            self._block = self._content = ""

    def handle_data(self, data: str) -> None:
        if self._block:
            self._content += data
        else:
            self.text += data

    def all(self, tag: str, name: str = "") -> list[dict[str, str | None]]:
        return [a for t, a in self.elements if t == tag and name in (a.get("class") or "")]

    @property
    def policy(self) -> str:
        """The content security policy."""
        return next(a["content"] or "" for a in self.all("meta") if a.get("http-equiv") == "Content-Security-Policy")


class ReportPage(Page):
    """The report of `olmv predict`: its head, its entries and details in the order of the page."""

    @property
    def head(self) -> dict[str, Any]:
        found: dict[str, Any] = self.blocks["data-head"]
        return found

    @property
    def entries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.blocks["data-videos"]
        return found

    @property
    def details(self) -> list[dict[str, Any]]:
        return [self.blocks[f"d{number}"] for number in range(len(self.entries))]

    def labels(self, number: int) -> list[tuple[str, float]]:
        """The labels of a video with their probabilities, as the page has them."""
        pairs = self.entries[number]["l"]
        return [(self.head["labels"][int(place)], p) for place, p in zip(pairs[::2], pairs[1::2], strict=True)]
