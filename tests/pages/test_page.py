"""The page that every page of olmv extends."""

from importlib import resources
from pathlib import Path

import pytest

from olmv.errors import OutputError
from olmv.models.default import model_note
from olmv.pages.page import asset, data_uri, write_page


def test_a_picture_lies_in_its_address() -> None:
    assert data_uri(b"\x89PNG") == "data:image/png;base64,iVBORw=="
    assert data_uri(b"\xff\xd8", "image/jpeg") == "data:image/jpeg;base64,/9g="


def test_of_olmv_mini_the_reader_is_warned() -> None:
    assert "drawings, not footage" in (model_note("runs/x/olmv-mini") or "")
    assert model_note("ViT-B-32/openai") is None


def test_a_template_of_another_package_finds_the_page(tmp_path: Path) -> None:
    """And without a script there is none."""
    assert asset("search.css") == (resources.files("olmv.pages") / "templates" / "search.css").read_text()
    path = tmp_path / "x.html"
    write_page(path, "page.html.j2", style="p { color: red }")
    text = path.read_text()
    assert "<style>p { color: red }</style>" in text
    assert "<script" not in text
    assert text.startswith("<!doctype html>")
    assert text.rstrip().endswith("</html>")


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*x\.html: its folder does not exist; create it"):
        write_page(tmp_path / "no" / "x.html", "page.html.j2", style="")
