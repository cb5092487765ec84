"""The browser that tests of pages look through."""

from pathlib import Path

import pytest

from tests.support.browser import PHONE, OpenPage, axe_findings

pytestmark = pytest.mark.slow

PAGE = '<!doctype html><html lang="en"><title>x</title><body><main><h1>x</h1>{}</main></body></html>'


def test_it_tells_what_axe_finds(open_page: OpenPage, tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    path.write_text(PAGE.format('<img src="data:,">'), encoding="utf-8")
    assert [line for line in axe_findings(open_page(path)) if line.startswith("image-alt:")]
    path.write_text(PAGE.format('<img src="data:," alt="a dog">'), encoding="utf-8")
    assert axe_findings(open_page(path, size=PHONE, dark=True)) == []
