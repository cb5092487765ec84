"""The page of a search: what it shows, and that it runs nothing of what it shows."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from olmv.library.library import Library
from olmv.library.query.duplicates import Copy, DuplicateGroup, DuplicateQuery
from olmv.library.query.filters import LabelLimit, VideoFilter
from olmv.library.query.moments import Moment
from olmv.library.query.queries import SearchQuery
from olmv.search.page import write_search_page
from olmv.search.summary import SearchSummary
from tests.support.libraries import vector_library


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return vector_library(tmp_path_factory.mktemp("films.olmv"), {"a.mp4": np.ones((1, 8))})


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6)).save(buffer, "JPEG")
    return buffer.getvalue()


def moment(video: str, path: Path | str, **changes: Any) -> Moment:
    values: dict[str, Any] = {
        "duration_s": 90.0, "start_s": 61.2, "end_s": 70.0, "peak_s": 65.0, "probability": 0.83, "similarity": 0.3,
        "thumbnail": jpeg(),
    }  # fmt: skip
    return Moment(video=video, path=str(path), **(values | changes))


def test_moments(tmp_path: Path, library: Library) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a b.mp4").write_bytes(b"")
    query = SearchQuery(
        texts=("a dog", "<script>alert(1)</script>"),
        without=("snow",),
        labels=(LabelLimit("rain", False, 0.2),),
        videos=VideoFilter(path="*.mp4"),
    )
    moments = [
        moment("clips/a b.mp4", tmp_path / "clips" / "a b.mp4"),
        moment('"><img src=x onerror=alert(1)>.mp4', "/gone/x.mp4", thumbnail=None, duration_s=0.0),
        moment("short.mp4", "/gone/short.mp4", duration_s=8.8, start_s=0.0, end_s=8.8, peak_s=4.4),
    ]
    write_search_page(tmp_path / "r.html", SearchSummary(videos=7, moments=moments), query, library)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "a dog and &lt;script&gt;alert(1)&lt;/script&gt;, without snow" in text
    assert "<img src=x" not in text
    assert text.count("<script>") == 1
    assert "path *.mp4" in text
    assert "rain &lt; 0.2" in text
    assert 'data-player="clips/a%20b.mp4"' in text
    assert text.count("data-player") == 1  # those that are not there are not played
    assert "1:01 – 1:10" in text
    assert "all of 0:08.8" in text
    assert "photo" in text
    assert "no picture" in text
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src &#39;none&#39;; img-src data:; media-src &#39;self&#39;; style-src")
    assert not re.search(r'(src|href)="(?!data:image/jpeg)', text)
    tags = re.findall(r"<[a-z][^<>]*>", text.partition("</style>")[2].partition("<script>")[0])
    assert not any(re.search(r"\s(style|on\w+)=", re.sub(r'"[^"]*"', "", tag)) for tag in tags)


def test_nothing_found(tmp_path: Path, library: Library) -> None:
    query = SearchQuery(texts=("a unicorn",))
    best = moment("a.mp4", "/gone/a.mp4", probability=0.04)
    write_search_page(tmp_path / "r.html", SearchSummary(videos=7, best=best), query, library)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Nothing found." in text
    assert "The best there is, below what was asked for" in text
    assert "4.0%" in text
    write_search_page(tmp_path / "r.html", SearchSummary(), query, library)
    assert "Nothing found: no video was searched." in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_copies(tmp_path: Path, library: Library) -> None:
    copies = [
        Copy(video=f"{name}.mp4", path=f"/films/{name}.mp4", duration_s=None, probability=0.98, similarity=0.95)
        for name in "ab"
    ]
    summary = SearchSummary(videos=3, groups=[DuplicateGroup(copies)])
    write_search_page(tmp_path / "r.html", summary, DuplicateQuery(), library)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "2 copies" in text
    assert "b.mp4" in text
    write_search_page(tmp_path / "r.html", SearchSummary(groups=[]), DuplicateQuery(), library)
    assert "No copies found." in (tmp_path / "r.html").read_text(encoding="utf-8")
