"""The HTML report: self-contained, escaped, streamed."""

import base64
import hashlib
import re
import tracemalloc
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from olmv.pages.pictures import Pictures
from olmv.predict.page import FILTER_LABELS, ReportInfo, write_report
from tests.support.rows import make_row

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


class Page(HTMLParser):
    """Every element with its attributes, and all text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, name: str = "") -> list[dict[str, str | None]]:
        return [a for t, a in self.elements if t == tag and name in (a.get("class") or "")]


def report(path: Path, rows: list[dict[str, Any]], **options: Any) -> Page:
    labels = list(dict.fromkeys(label["label"] for row in rows for label in row["labels"]))
    info = options.pop("info", ReportInfo("olmv-mini", labels, {"frames": "8"}))
    write_report(path, lambda: rows, info=info, **options)
    return Page(path)


def test_a_photo_has_no_times(tmp_path: Path, good_row: Any) -> None:
    good_row |= {"duration_s": 0.0, "frames": {"requested": 8, "decoded": 1, "corrupt": 0}}
    carried = [{"frame": 0, "time_s": 0.0, "contribution": 0.3}]
    good_row["explanations"] = [{"label": "dog", "texts": [], "frames": carried}]
    cut = make_row("clips/cut.jpg", dog=0.5) | {"duration_s": 0.0}
    cut["frames"] = {"requested": 8, "decoded": 1, "corrupt": 1}
    jpeg = base64.b64encode(b"\xff\xd8jpeg").decode()
    page = report(tmp_path / "r.html", [good_row, cut], pictures=lambda video: Pictures((0.0,), (jpeg,)))
    assert [image["alt"] for image in page.all("img")] == ["photo", "photo"]
    assert "0.0" not in page.text
    assert "1 of 8" not in page.text
    assert "photo · damaged" in page.text


def test_it_shows_what_the_rows_say(tmp_path: Path, good_row: Any, bad_row: Any) -> None:
    good_row["explanations"] = [
        {
            "label": "dog",
            "texts": [
                {"text": "four legs and fur", "contribution": 0.2},
                {"text": "dog", "contribution": -0.1},
            ],
            "frames": [{"frame": 1, "time_s": 3.5, "contribution": 0.3}],
        }
    ]
    jpeg = base64.b64encode(b"\xff\xd8jpeg").decode()
    page = report(
        tmp_path / "r.html",
        [good_row, bad_row],
        pictures=lambda video: Pictures((0.5, 3.5), (jpeg, jpeg)) if video == "clips/a.mp4" else None,
    )
    assert [image["src"] for image in page.all("img")] == [f"data:image/jpeg;base64,{jpeg}"] * 2
    bars = page.all("li", "bar")
    assert [(bar["data-label"], bar["data-probability"], "data-positive" in bar) for bar in bars] == [
        ("0", "0.89", True),
        ("1", "0.1", False),
    ]
    assert bars[0]["data-frames"] == "1"
    assert page.all("rect")[0]["width"] == "89.00"
    assert page.all("line")[0]["x1"] == "50.00"
    for text in (
        "2 videos, 2 labels",
        "1 failed",
        "four legs and fur",
        "7 of 8 frames · 1 corrupt",
        "NotAVideoError",
    ):
        assert text in page.text
    assert "dog (1)" in page.text


def test_everything_is_escaped(tmp_path: Path, bad_row: Any) -> None:
    row = make_row(EVIL + "/" + EVIL, **{EVIL: 0.9})
    row["explanations"] = [{"label": EVIL, "texts": [{"text": EVIL + "!", "contribution": 1}], "frames": []}]
    bad_row["error"] = {"type": EVIL, "message": EVIL}
    info = ReportInfo(EVIL, [EVIL], {EVIL: EVIL}, note=EVIL)
    page = report(tmp_path / "r.html", [row, bad_row], info=info)
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.text.count("<script>alert(1)</script>") >= 8


def test_the_policy_allows_only_what_is_inside(tmp_path: Path, good_row: Any) -> None:
    page = report(tmp_path / "r.html", [good_row])
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    for tag in ("script", "style"):
        inside = re.search(rf"<{tag}>(.*?)</{tag}>", page.html, re.DOTALL)
        assert inside is not None
        digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    assert not any("style" in attributes for _, attributes in page.elements)  # would be blocked
    assert not re.search(r"""(?:src|href)=["']?(?!data:)|url\(|@import|https?:""", page.html)


def test_the_model_is_named_and_its_limits(tmp_path: Path, good_row: Any) -> None:
    info = ReportInfo("olmv-mini", ["dog", "rain"], note="knows drawings, not footage")
    page = report(tmp_path / "r.html", [good_row], info=info)
    assert "olmv-mini" in page.text
    assert "knows drawings, not footage" in page.text


def test_ten_thousand_labels_stay_a_page(tmp_path: Path) -> None:
    row = make_row("a.mp4", **{f"label {i}": i / 10_000 for i in range(10_000)})
    page = report(tmp_path / "r.html", [row])
    assert len(page.all("li", "bar")) == 60
    assert len(page.all("option")) <= FILTER_LABELS + 5
    assert "9940 less probable labels are left out" in page.text
    assert page.text.index("label 9999") < page.text.index("label 9998")


def test_odd_file_names(tmp_path: Path) -> None:
    page = report(tmp_path / "r.html", [make_row("odd \udcff.mp4", dog=0.2)])
    assert "odd \\udcff.mp4" in page.text


def test_nothing_to_show(tmp_path: Path) -> None:
    assert "0 videos" in report(tmp_path / "r.html", []).text


@pytest.mark.parametrize(
    ("probability", "shown"),
    [
        (0.0, "0%"),
        (1e-6, "<0.1%"),
        (0.014, "1.4%"),
        (0.5, "50%"),
        (0.994, "99.4%"),
        (0.99999, ">99.9%"),
        (1, "100%"),
    ],
)
def test_percent_never_rounds_to_certainty(tmp_path: Path, probability: float, shown: str) -> None:
    assert shown in report(tmp_path / "r.html", [make_row("a.mp4", dog=probability)]).text


def test_memory_does_not_grow_with_the_videos(tmp_path: Path) -> None:
    picture = base64.b64encode(bytes(6_000)).decode()

    def peak(videos: int) -> int:
        def rows() -> Iterator[dict[str, Any]]:
            return (make_row(f"{i}.mp4", dog=0.9, rain=0.1) for i in range(videos))

        tracemalloc.start()
        write_report(
            tmp_path / "r.html",
            rows,
            info=ReportInfo("m", ["dog", "rain"]),
            pictures=lambda video: Pictures((0.0,) * 8, (picture,) * 8),
        )
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(5)  # the template is compiled
    assert peak(300) < peak(30) + 500_000
    assert (tmp_path / "r.html").stat().st_size < 40_000_000


def test_failures_come_first_and_have_a_filter_of_their_own(tmp_path: Path, good_row: Any, bad_row: Any) -> None:
    page = report(tmp_path / "r.html", [good_row, bad_row])
    assert ["failed" in (card["class"] or "") for card in page.all("article")] == [True, False]
    assert "failed only (1)" in page.text
    assert "failed first" in page.text
    assert all("hidden" not in control for control in page.all("label", "check"))
    sound = report(tmp_path / "s.html", [good_row])
    assert [control for control in sound.all("label", "check") if "hidden" in control]
    assert "failed first" not in sound.text
