"""The page of a result: self-contained, escaped, and it says what the result says."""

import re
import statistics
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olmv.evaluate import page
from olmv.evaluate.label_table import label_table
from olmv.evaluate.page import file_name, moment, pictures, setting_rows, write_result_page
from olmv.evaluate.results import Result
from olmv.pages.figures import HEADLINES, NAMES, deviation, shown
from olmv.pages.plots import Picture
from tests.evaluate.made_results import EVIL, made_result


class ReadPage(HTMLParser):
    """Every element with its attributes, the text, and the cells of the tables."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self.cell = False
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.cell = True

    def handle_endtag(self, tag: str) -> None:
        self.cell = self.cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.cell:
            self.rows[-1][-1] += data.strip()


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take time; only some of the tests look at them."""
    monkeypatch.setattr(page, "pictures", lambda result: {})


def read_page(folder: Path, result: Result, table: Any = None) -> ReadPage:
    write_result_page(folder, result, label_table(result) if table is None else table)
    return ReadPage(folder / "index.html")


def test_everything_is_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = Picture(b"png", b"pdf")
    monkeypatch.setattr(page, "pictures", lambda result: {"one": (EVIL, drawing), "two": ("", drawing)})
    result = made_result(videos=12, labels=3)
    labels = (EVIL, EVIL + "2", "c")
    videos = [
        dict(row) | {"video": EVIL + row["video"], "truth": [labels[int(label[-1])] for label in row["truth"]]}
        for row in result.videos
    ]
    videos[3] |= {"error": {"type": EVIL, "message": EVIL}}
    result = replace(
        result,
        protocol=EVIL,
        model=EVIL,
        created=EVIL,
        labels=labels,
        videos=tuple(videos),
        metrics={EVIL: 0.5},
        versions={EVIL: EVIL},
        settings={EVIL: EVIL, "list": [EVIL]},
        splits=tuple({"name": f"{EVIL}{i}", "videos": EVIL, "labels": 3, "metrics": {EVIL: 0.5}} for i in range(2)),
        groups={EVIL: {EVIL: 0.5}},
        never=(EVIL,),
        always=(EVIL,),
        notes=(EVIL,),
    )
    read = read_page(tmp_path, result, label_table(result, {EVIL: [0]}))
    assert len([tag for tag, _ in read.elements if tag == "script"]) == 1
    assert not any(name.startswith("on") or name == "style" for _, found in read.elements for name in found)
    sources = [found["src"] or "" for tag, found in read.elements if tag == "img"]
    assert len(sources) == 2
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert read.text.count("<script>alert(1)</script>") > 15
    assert not re.search(r'(?:src|href)="(?!data:)|url\(|@import|https?:', read.html)
    policy = next(found["content"] for tag, found in read.elements if tag == "meta" and "content" in found)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("kind", "stems"),
    [
        ("multi-label", ["precision-recall", "calibration", "thresholds", "co-occurrence"]),
        ("single-label", ["splits", "confusion"]),
        ("retrieval", ["ranks"]),
    ],
)
def test_every_kind_has_its_pictures(tmp_path: Path, kind: str, stems: list[str]) -> None:
    splits = tuple({"name": f"{i}", "videos": [i], "labels": [0, 1], "metrics": {"top1": i / 2}} for i in range(3))
    result = made_result(kind, splits=splits if kind == "single-label" else (), metrics={HEADLINES[kind][0]: 0.5})
    files = write_result_page(tmp_path, result, label_table(result))
    assert [file.name for file in files] == [
        "index.html",
        *(f"{stem}.{kind}" for stem in stems for kind in ("png", "pdf")),
        "figures.tex",
    ]
    assert all(file.read_bytes() for file in files)
    assert ReadPage(files[0]).html.count("<img") == len(stems)


def test_without_scores_there_is_still_a_page(tmp_path: Path) -> None:
    result = made_result(scores=None, metrics={"macro_map": 0.5})
    assert pictures(result) == {}
    assert "50.0 %" in read_page(tmp_path, result, []).text
    failed = made_result("single-label", scores=np.full((40, 1, 6), np.nan, dtype=np.float32))
    assert pictures(failed) == {}


@pytest.mark.usefixtures("no_plots")
def test_it_says_what_was_measured(tmp_path: Path) -> None:
    result = made_result(
        "single-label",
        model="olmv-mini",
        metrics={"top1": 0.512, "top1_std": 0.01, "top5": 0.9},
        intervals={"top1": (0.4, 0.625)},
        settings={"frames": 8, "data": {"seed": 2023}, "resume": True, "lists": None, "views": 1},
        versions={"torch": "2.9.0"},
        splits=(
            {"name": "draw 0", "videos": [0, 1, 2], "labels": [0, 1], "metrics": {"top1": 0.5, "top5": 1.0}},
            {"name": "draw 1", "videos": 7, "labels": 4, "metrics": {"top1": 0.6, "top5": 0.8}},
        ),
        groups={"seen": {"top1": 0.7}, "unseen": {"top1": 0.3}},
        never=("a unicorn",),
        notes=("two files are missing",),
    )
    read = read_page(tmp_path, result)
    for text in (
        *("knows drawings, not footage", "40 videos", "1 failed", "2026-11-21 18:40 UTC", "a unicorn"),
        *("two files are missing", "003.mp4", "DecodeError", "95 %: 40.0 – 62.5", "± 7.1 over 2 splits"),
    ):
        assert text in read.text
    for row in (
        *(["frames", "8"], ["data · seed", "2023"], ["resume", "yes"], ["lists", "–"], ["views", "1"]),
        *(
            ["torch version", "2.9.0"],
            ["draw 0", "3", "2", "50.0 %", "100.0 %"],
            ["draw 1", "7", "4", "60.0 %", "80.0 %"],
        ),
        ["mean ± sample standard deviation (%)", "55.0 ± 7.1", "90.0 ± 14.1"],
        *(["seen", "70.0 %"], ["unseen", "30.0 %"], ["Top-1", "51.2 %", "40.0 – 62.5", "top1"]),
    ):
        assert row in read.rows
    assert not any("top1_std" in row for row in read.rows)


@pytest.mark.usefixtures("no_plots")
def test_the_files_on_which_a_label_fails(tmp_path: Path) -> None:
    logit = np.full((8, 1, 2), -3.0, dtype=np.float32)
    logit[:, 0, 1] = [3, 2, 1, -1, -2, -3, -4, -5]
    videos = tuple(
        {"video": f"/v/{name}.mp4", "status": "ok", "error": None, "truth": ["bad"] if name in "defgh" else ["fine"]}
        for name in "abcdefgh"
    )
    logit[:3, 0, 0] = 3
    result = made_result(labels=2, videos=8, scores=logit)
    result = replace(result, labels=("fine", "bad"), videos=videos)
    text = read_page(tmp_path, result).text
    assert "predicted, but not true (3)" in text
    assert "true, but not predicted (5)" in text
    names = re.findall(r"([a-h])\.mp4", text)
    assert names == list("abchgfed")


@pytest.mark.usefixtures("no_plots")
def test_a_page_stays_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "ROWS_MOST", 4)
    monkeypatch.setattr(page, "NAMES_MOST", 2)
    result = made_result(never=("x", "y", "z"), settings={"texts": ["a", "b", "c"]})
    result = replace(result, videos=tuple({**row, "status": "error"} for row in result.videos))
    read = read_page(tmp_path, result)
    for text in ("2 more labels are in labels.csv", "and 38 more, in videos.jsonl", "x, y and 1 more"):
        assert text in " ".join(read.text.split())
    assert ["texts", "a; b; and 1 more"] in read.rows
    assert sum(1 for row in read.rows if row and row[0].startswith("label ")) == 4


@pytest.mark.usefixtures("no_plots")
def test_numbers_that_do_not_exist_are_no_numbers(tmp_path: Path) -> None:
    result = made_result(metrics={"macro_map": float("nan")}, intervals={"macro_map": (float("nan"), 0.5)})
    truth = tuple({**row, "truth": [label for label in row["truth"] if label != "label 2"]} for row in result.videos)
    read = read_page(tmp_path, replace(result, videos=truth))
    assert ["mAP (macro)", "–", "", "macro_map"] in read.rows
    row = next(row for row in read.rows if row[0] == "label 2")
    assert row[1] == "0"
    assert "–" in row
    assert "nan" not in read.text.lower()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("top1", 0.1234, "12.3 %"),
        ("top1", 1.0, "100.0 %"),
        ("t2v_median_rank", 6.5, "6.5"),
        ("t2v_median_rank", 1.0, "1"),
        ("peak_threshold", 0.25, "0.250"),
        ("peak_threshold", 0.00123, "0.001"),
        ("macro_map", float("nan"), "–"),
        ("macro_map", None, "–"),
        ("brier_skill", -0.1234, "-0.123"),
        ("brier_skill", -3.0, "-3.000"),
        ("seconds", 1234.5, "1234.5"),
    ],
)
def test_figures_as_people_read_them(name: str, value: float | None, text: str) -> None:
    assert shown(name, value) == text


def test_small_words() -> None:
    assert moment("2026-11-21T19:40:05+01:00") == "2026-11-21 18:40 UTC"
    assert moment("2026-11-21T18:40:05") == "2026-11-21 18:40 UTC"
    assert moment("yesterday") == "yesterday"
    assert file_name("/a/b.mp4") == {"path": "/a/b.mp4", "name": "b.mp4"}
    assert file_name("/")["name"] == "/"
    assert setting_rows({"a": {"b": {"c": 0}}, "d": False, "e": 1.5}) == [("a · b · c", "0"), ("d", "no"), ("e", "1.5")]
    assert deviation([0.5, 0.7, float("nan")]) == pytest.approx((0.6, statistics.stdev([0.5, 0.7])))
    assert deviation([0.5]) == pytest.approx((0.5, float("nan")), nan_ok=True)
    assert all(name in NAMES for names in HEADLINES.values() for name in names)
    assert all(np.isnan(deviation([])))
