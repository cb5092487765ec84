"""The HTML report: self-contained, its data small and harmless, streamed."""

import base64
import hashlib
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from olmv.pages.pictures import Pictures
from olmv.predict.page import ReportInfo, write_report
from olmv.predict.page_data import BARS_MOST
from tests.support.report_page import EVIL, ReportPage
from tests.support.rows import make_row

JPEG = base64.b64encode(b"\xff\xd8jpeg").decode()


def report(path: Path, rows: list[dict[str, Any]], **options: Any) -> ReportPage:
    labels = list(dict.fromkeys(label["label"] for row in rows for label in row["labels"]))
    info = options.pop("info", ReportInfo("olmv-mini", labels, {"frames": "8"}))
    write_report(path, lambda: rows, info=info, **options)
    return ReportPage(path)


def test_it_holds_what_the_rows_say(tmp_path: Path, good_row: Any, bad_row: Any) -> None:
    good_row["explanations"] = [
        {
            "label": "dog",
            "texts": [
                {"text": "four legs and fur", "contribution": 0.2},
                {"text": "dog", "contribution": -0.1},
                {"text": "a cat", "contribution": 0.0},
            ],
            "frames": [{"frame": 1, "time_s": 3.5, "contribution": 0.3}],
        },
        {"label": "rain", "texts": [{"text": "rain", "contribution": 0.0}], "frames": []},
    ]
    page = report(
        tmp_path / "r.html",
        [good_row, bad_row],
        pictures=lambda video: Pictures((0.5, 3.5), (JPEG, JPEG)) if video == "clips/a.mp4" else None,
    )
    for text in ("2 videos, 2 labels", "olmv-mini", "frames 8", "1 positive", "1 failed"):
        assert text in page.text
    assert page.head["labels"] == ["dog", "rain"]
    assert page.head["thresholds"] == [0.5, 0.5]
    assert (page.head["positives"], page.head["scored"]) == ([1, 0], [1, 1])
    failed, sound = page.entries
    assert failed == {"v": "clips/b.mp4", "l": [], "e": ["NotAVideoError", bad_row["error"]["message"]]}
    assert sound == {"v": "clips/a.mp4", "f": "9.8 s · 7 of 8 frames · 1 corrupt", "l": [0, 0.89, 1, 0.1]}
    detail = page.details[1]
    assert (detail["times"], detail["jpegs"]) == ([0.5, 3.5], [JPEG, JPEG])
    (why,) = detail["why"]  # what carried nothing is not there
    assert why["label"] == 0
    assert [text["text"] for text in why["texts"]] == ["four legs and fur", "dog"]
    assert "jpegs" not in page.details[0]


def test_failures_come_first_and_have_a_filter_of_their_own(tmp_path: Path, good_row: Any, bad_row: Any) -> None:
    page = report(tmp_path / "r.html", [good_row, bad_row])
    assert [entry["v"] for entry in page.entries] == ["clips/b.mp4", "clips/a.mp4"]
    assert "failed only (1)" in page.text
    assert "failed first, then in input order" in page.text
    sound = report(tmp_path / "s.html", [good_row])
    assert "failed only" not in sound.text
    assert "failed first" not in sound.text


def test_everything_is_escaped(tmp_path: Path, bad_row: Any) -> None:
    row = make_row(EVIL + "/" + EVIL, **{EVIL: 0.9})
    row["explanations"] = [{"label": EVIL, "texts": [{"text": EVIL + "!", "contribution": 1}], "frames": []}]
    bad_row["error"] = {"type": EVIL, "message": EVIL}
    info = ReportInfo(EVIL, [EVIL], {EVIL: EVIL}, note=EVIL)
    page = report(tmp_path / "r.html", [row, bad_row], info=info)
    assert [attributes.get("type") for attributes in page.all("script")] == [
        *("application/json", "application/json", None),  # head and entries, the script
        *("application/json", "application/json"),  # details
    ]
    assert page.all("img") == []
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.text.count("<script>alert(1)</script>") == 4  # model, name and value of a setting, note
    assert (page.head["labels"], page.head["model"]) == ([EVIL], EVIL)
    assert page.entries[0]["e"] == [EVIL, EVIL]
    assert page.entries[1]["v"] == f"{EVIL}/{EVIL}"
    assert page.details[1]["why"][0]["texts"][0]["text"] == EVIL + "!"
    data = "".join(re.findall(r'<script type="application/json" id="[\w-]+">(.*?)</script>', page.html, re.DOTALL))
    assert len(re.findall(r"\w", data)) > 200
    assert "<" not in data


def test_the_policy_allows_only_what_is_inside(tmp_path: Path, good_row: Any) -> None:
    page = report(tmp_path / "r.html", [good_row])
    for tag in ("script", "style"):
        inside = re.search(rf"<{tag}>(.*?)</{tag}>", page.html, re.DOTALL)
        assert inside is not None
        digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in page.policy
    assert page.policy.startswith("default-src 'none'; img-src data:; media-src 'self'; ")
    assert "unsafe" not in page.policy
    assert not any("style" in attributes for _, attributes in page.elements)  # would be blocked
    addresses = re.findall(r"""\s(?:src|href)=["']?([^"'\s>]*)|url\(|@import|https?:[^\s"']*""", page.html)
    assert [address for address in addresses if address] == []
    assert set(re.findall(r"https?:[^\s\"']*", page.html)) <= {"http://www.w3.org/2000/svg", "http:", "https:"}


def test_without_a_script_the_reader_is_told(tmp_path: Path, good_row: Any) -> None:
    page = report(tmp_path / "r.html", [good_row])
    assert len(page.all("noscript")) == 1
    assert "draws its videos with a script" in page.text


def test_the_model_is_named_and_its_limits(tmp_path: Path, good_row: Any) -> None:
    info = ReportInfo("olmv-mini", ["dog", "rain"], note="knows drawings, not footage", calibrated=True)
    page = report(tmp_path / "r.html", [good_row], info=info)
    assert "olmv-mini" in page.text
    assert "knows drawings, not footage" in page.text
    assert page.head["calibrated"] is True  # of such thresholds no file can be made


def test_ten_thousand_labels_stay_a_page(tmp_path: Path) -> None:
    row = make_row("a.mp4", **{f"label {i}": i / 10_000 for i in range(10_000)})
    page = report(tmp_path / "r.html", [row])
    assert len(page.labels(0)) == BARS_MOST
    assert page.labels(0)[:2] == [("label 9999", 0.9999), ("label 9998", 0.9998)]
    assert page.entries[0]["o"] == 9940
    assert page.entries[0]["b"] == 0.9939  # what is left out is at most so probable
    assert sum(page.head["positives"]) == 5000  # counted in the rows, not in the page


def test_labels_are_named_once(tmp_path: Path) -> None:
    names = [f"a label of some length, number {number}" for number in range(50)]
    rows = [make_row(f"{i}.mp4", **dict.fromkeys(names, 0.25)) for i in range(100)]
    for row in rows:
        row["explanations"] = [{"label": name, "texts": [], "frames": []} for name in names]
    page = report(tmp_path / "r.html", rows)
    assert page.html.count(names[7]) == 1
    entries = page.html.split('id="data-videos">')[1].split("</script>")[0]
    assert len(entries) / (100 * 50) < 10  # bytes a probability


def test_a_row_of_its_most_probable_labels_says_what_others_can_be(tmp_path: Path) -> None:
    info = ReportInfo("m", ["cat", "dog", "rain"])
    page = report(tmp_path / "r.html", [make_row("a.mp4", dog=0.6, rain=0.4)], info=info)
    assert page.entries[0]["b"] == 0.4
    assert page.head["thresholds"] == [None, 0.5, 0.5]  # of a label that no row has there is none


def test_a_row_may_differ_from_its_list(tmp_path: Path, good_row: Any) -> None:
    other = make_row("b.mp4", dog=0.6, rain=0.7)
    other["labels"][0] |= {"threshold": 0.7, "positive": False}
    other["labels"][1] |= {"positive": False}  # decided before its probability was rounded
    page = report(tmp_path / "r.html", [good_row, other])
    assert page.head["thresholds"] == [0.5, 0.5]
    assert (page.entries[1]["t"], page.entries[1]["x"]) == ({"0": 0.7}, [1])


def test_a_photo_has_no_times(tmp_path: Path, good_row: Any) -> None:
    good_row |= {"duration_s": 0.0, "frames": {"requested": 8, "decoded": 1, "corrupt": 0}}
    cut = make_row("clips/cut.jpg", dog=0.5) | {"duration_s": 0.0}
    cut["frames"] = {"requested": 8, "decoded": 1, "corrupt": 1}
    page = report(tmp_path / "r.html", [good_row, cut], pictures=lambda video: Pictures((0.0,), (JPEG,)))
    assert [(entry["f"], entry["photo"]) for entry in page.entries] == [("photo", True), ("photo · damaged", True)]


def test_a_video_in_reach_can_be_opened(tmp_path: Path) -> None:
    video = tmp_path / "a b" / "#1.mp4"
    video.parent.mkdir()
    video.write_bytes(b"")
    page = report(tmp_path / "r.html", [make_row(str(video), dog=0.9), make_row("absent.mp4", dog=0.9)])
    assert [entry.get("p") for entry in page.entries] == ["a%20b/%231.mp4", None]


def test_odd_file_names(tmp_path: Path) -> None:
    page = report(tmp_path / "r.html", [make_row("odd \udcff\n.mp4", dog=0.2)])
    assert page.entries[0]["v"] == "odd \\udcff\n.mp4"


def test_nothing_to_show(tmp_path: Path) -> None:
    page = report(tmp_path / "r.html", [])
    assert "0 videos, 0 labels" in page.text
    assert page.entries == []


def test_the_page_has_a_name_of_its_own(tmp_path: Path, good_row: Any) -> None:
    """Under which a browser keeps verdicts: the same when it is written anew, another elsewhere."""
    first = report(tmp_path / "r.html", [good_row]).head["id"]
    assert report(tmp_path / "r.html", [good_row, make_row("b.mp4", dog=0.1)]).head["id"] == first
    assert report(tmp_path / "s.html", [good_row]).head["id"] != first
    assert re.fullmatch(r"[0-9a-f]{16}", first)


@pytest.mark.parametrize("apart", [False, True])
def test_memory_does_not_grow_with_the_videos(tmp_path: Path, apart: bool) -> None:
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
            report_pictures="folder" if apart else "file",
        )
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(5)  # the template is compiled
    assert peak(200) < peak(20) + 500_000
    assert (tmp_path / "r.html").stat().st_size < 30_000_000
