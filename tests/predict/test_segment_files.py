"""Files of segments: what other programs read in them."""

import csv
import io
import itertools
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from olmv.errors import OutputError, UsageError
from olmv.io.paths import distinct_stems
from olmv.io.table_cells import from_csv_cell
from olmv.predict.annotations import edl, label_studio_config
from olmv.predict.segment_files import check_segments_output, needs_pictures, segment_format, write_segments
from olmv.predict.subtitles import srt, vtt
from tests.support.timelines import pictures_of, segment, timeline_row

Row = dict[str, Any]

EVIL = '</c>1\n\n00:00:00.000 --> 00:01:00.000 <b>&amp;{\\an8}\\N\x07"'


def write(path: Path, *rows: Row, pictures: int = 0) -> list[Path]:
    check_segments_output(path, [row["video"] for row in rows])
    return write_segments(path, lambda: rows, lambda video: pictures_of(pictures) if pictures else None)


def dog_and_rain(video: str = "clips/a.mp4") -> Row:
    return timeline_row(
        video, segment("dog", 1.5, 7.25, 0.92), segment("dog", 3600.0, 3601.5), segment("rain", 2.0, 4.0)
    )


def read_subtitles(path: Path) -> list[tuple[float, float, str]]:
    """Read begin, end and text of each subtitle as FFmpeg, and what is built on it, does."""
    cues = []
    with av.open(str(path)) as container:
        for packet in container.demux(subtitles=0):
            if packet.size and packet.pts is not None and packet.duration and packet.time_base is not None:
                text = "".join(part.dialogue.decode() for part in packet.decode())
                base = packet.time_base
                cues.append((float(packet.pts * base), float((packet.pts + packet.duration) * base), text))
    return cues


def read_vtt(text: str) -> list[tuple[str, str, str]]:
    """Read a WebVTT file by the rules of the specification for blocks: begin, end and text."""
    header, *blocks = text.rstrip("\n").split("\n\n")
    assert header == "WEBVTT"
    cues = []
    for block in blocks:
        times, *lines = block.split("\n")
        found = re.fullmatch(r"(\d\d+:\d\d:\d\d\.\d{3}) --> (\d\d+:\d\d:\d\d\.\d{3})", times)
        assert found
        cues.append((found[1], found[2], "\n".join(lines)))
    return cues


@pytest.mark.parametrize("name", ["x.srt", "x.vtt"])
def test_players_read_the_subtitles(name: str, tmp_path: Path) -> None:
    (path,) = write(tmp_path / name, dog_and_rain())
    expected = [(1.5, 7.25, "dog 92%"), (2.0, 4.0, "rain 90%"), (3600.0, 3601.5, "dog 90%")]
    assert read_subtitles(path) == expected


@pytest.mark.parametrize("name", ["x.srt", "x.vtt"])
def test_a_label_stays_a_text(name: str, tmp_path: Path) -> None:
    (path,) = write(tmp_path / name, timeline_row("a.mp4", segment(EVIL, 0, 2)))
    text = path.read_text(encoding="utf-8")
    assert text.count("-->") == 1
    assert "<" not in text
    ((begin, end, shown),) = read_subtitles(path)
    assert (begin, end) == (0, 2)
    # the letters are all there: no tag and no override has eaten any
    assert re.sub(r"[^a-z0-9A-Z:.]", "", shown).replace("gt", "").startswith("c100:00:00.00000:01:00.000")
    assert "an8" in shown
    assert shown.endswith("90%")


@given(
    st.lists(
        st.tuples(
            st.text(max_size=30),
            st.floats(0, 90_000),
            st.floats(0, 100),
            st.floats(0, 1),
        ),
        max_size=5,
    )
)
def test_any_label_makes_valid_subtitles(items: list[tuple[str, float, float, float]]) -> None:
    row = timeline_row("a.mp4", *(segment(label, start, start + length, peak) for label, start, length, peak in items))
    cues = read_vtt("".join(vtt(row)))
    assert len(cues) == len(items)
    assert all(begin < end or len(begin) < len(end) for begin, end, _ in cues)
    assert all(
        text and "\n" not in text and not re.search(r"[<>\x00-\x1f]|&(?!(amp|lt|gt);)", text) for *_, text in cues
    )
    blocks = "".join(srt(row)).split("\n\n")[:-1]
    assert [block.split("\n")[0] for block in blocks] == [str(number + 1) for number in range(len(items))]
    assert all(len(block.split("\n")) == 3 and not re.search(r"[<{\\}]", block) for block in blocks)


def test_tables(tmp_path: Path) -> None:
    odd = timeline_row("odd \udcff.mp4", segment("=cmd()", 0, 1.25, 0.5))
    bad = {**odd, "video": "b.mp4", "status": "error", "labels": []}
    del bad["segments"]
    rows = [dog_and_rain(), odd, bad]
    write(tmp_path / "x.csv", *rows)
    with (tmp_path / "x.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        lines = list(csv.DictReader(file))
    expected = [{"video": row["video"], **item} for row in rows for item in row.get("segments", ())]
    assert list(lines[0]) == ["video", "label", "start_s", "end_s", "peak", "peak_s", "mean"]
    assert "'=cmd()" in [line["label"] for line in lines]
    read = [
        {name: from_csv_cell(cell) if name in ("video", "label") else float(cell) for name, cell in line.items()}
        for line in lines
    ]
    assert read == expected
    write(tmp_path / "x.parquet", *rows)
    expected[3]["video"] = "odd \\udcff.mp4"
    assert pq.read_table(tmp_path / "x.parquet").to_pylist() == expected


def test_thumbnails(tmp_path: Path) -> None:
    path = tmp_path / "a b.thumbnails.vtt"
    assert needs_pictures(path)
    written = write(path, timeline_row("clips/a.mp4"), pictures=130)
    assert [file.name for file in written] == ["a b.thumbnails.vtt", "a b.thumbnails.jpg", "a b.thumbnails-2.jpg"]
    cues = read_vtt(path.read_text(encoding="utf-8"))
    assert len(cues) == 130
    assert (cues[0][0], cues[-1][1]) == ("00:00:00.000", "00:01:00.000")
    assert all(before[1] == after[0] for before, after in itertools.pairwise(cues))
    shades = []
    for *_, address in cues:
        name, _, place = address.partition("#xywh=")
        x, y, width, height = map(int, place.split(","))
        assert " " not in name
        with Image.open(tmp_path / unquote(name)) as sheet:
            tile = sheet.crop((x, y, x + width, y + height)).convert("L")
        assert tile.size == (160, 90)
        pixels = np.asarray(tile)
        assert np.ptp(pixels) < 8  # one picture, nothing of its neighbours
        shades.append(int(pixels.min()))
    assert shades == pytest.approx([40 + index * 200 // 130 for index in range(130)], abs=6)


def test_label_studio(tmp_path: Path) -> None:
    tasks_file, config_file = write(
        tmp_path / "x.labelstudio.json", dog_and_rain(), timeline_row("b.mp4", others={"a<b": 0.1})
    )
    assert config_file.name == "x.labelstudio.xml"
    first, second = json.loads(tasks_file.read_text(encoding="utf-8"))
    assert first["data"] == {"video": "clips/a.mp4", "fps": 25}
    (prediction,) = first["predictions"]
    assert prediction["model_version"] == "olmv olmv-mini"
    assert prediction["score"] == 0.92
    assert prediction["result"][0] == {
        "id": "olmv-1",
        "from_name": "videoLabels",
        "to_name": "video",
        "type": "timelinelabels",
        "score": 0.92,
        "value": {"ranges": [{"start": 39, "end": 181}], "timelinelabels": ["dog"]},
    }
    assert second["predictions"][0]["result"] == []
    view = ElementTree.fromstring(config_file.read_text(encoding="utf-8"))
    video, timeline = view
    assert (video.tag, video.get("name"), video.get("value"), video.get("frameRate")) == (
        "Video",
        "video",
        "$video",
        "$fps",
    )
    assert (timeline.get("name"), timeline.get("toName")) == ("videoLabels", "video")
    assert [label.get("value") for label in timeline] == ["dog", "rain", "a<b"]


@given(st.text())
def test_any_label_makes_a_valid_config(label: str) -> None:
    view = ElementTree.fromstring("".join(label_studio_config([label])))
    assert len(view[1]) == 1


def test_fiftyone(tmp_path: Path) -> None:
    rows = [dog_and_rain("one/a.mp4"), timeline_row("two/a.mp4", segment("cat", 0, 1))]
    write(tmp_path / "x.fiftyone.json", *rows)
    document = json.loads((tmp_path / "x.fiftyone.json").read_text(encoding="utf-8"))
    assert document["classes"] == ["dog", "rain", "cat"]
    assert document["labels"]["a"][0] == {"label": 0, "timestamps": [1.5, 7.25], "confidence": 0.92}
    assert document["labels"]["a-2"] == [{"label": 2, "timestamps": [0, 1], "confidence": 0.9}]
    assert document["data"] == {
        "a.mp4": str(Path("one/a.mp4").absolute()),
        "a-2.mp4": str(Path("two/a.mp4").absolute()),
    }


def test_markers_for_editors(tmp_path: Path) -> None:
    row = timeline_row(
        "a|b.mp4", segment("dog", 1.2, 7.24, 0.92), segment("r|n\n001", 1.2, 1.21, 0.5), segment("dog", 3600, 3602)
    )
    (path,) = write(tmp_path / "x.edl", row)
    assert path.read_text(encoding="utf-8") == (
        "TITLE: a/b.mp4\nFCM: NON-DROP FRAME\n\n"
        "001  001      V     C        01:00:01:05 01:00:01:06 01:00:01:05 01:00:01:06  \n"
        " |C:ResolveColorBlue |M:dog 92% |D:151\n\n"
        "002  001      V     C        01:00:01:06 01:00:01:07 01:00:01:06 01:00:01:07  \n"
        " |C:ResolveColorCyan |M:r/n 001 50% |D:1\n\n"
        "003  001      V     C        02:00:00:00 02:00:00:01 02:00:00:00 02:00:00:01  \n"
        " |C:ResolveColorBlue |M:dog 90% |D:50\n"
    )


@given(st.lists(st.floats(0, 80_000), max_size=40))
def test_markers_stand_on_frames_that_every_timeline_has(starts: list[float]) -> None:
    row = timeline_row("a.mp4", *(segment("dog", start, start + 1) for start in starts))
    frames = re.findall(r"V     C        (\d\d:\d\d:\d\d:(\d\d)) \d\d:\d\d:\d\d:(\d\d) ", "".join(edl(row)))
    assert len({code for code, *_ in frames}) == len(starts)
    assert all(int(frame) < 24 for _, *both in frames for frame in both)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.srt", ""),
        ("x.vtt", "WEBVTT\n"),
        ("x.thumbnails.vtt", "WEBVTT\n"),
        ("x.edl", "TITLE: a.mp4\nFCM: NON-DROP FRAME\n"),
        ("x.csv", "video,label,start_s,end_s,peak,peak_s,mean\n"),
    ],
)
def test_no_segments_make_a_valid_empty_file(name: str, content: str, tmp_path: Path) -> None:
    (path,) = write(tmp_path / name, timeline_row("a.mp4"))
    assert path.read_text(encoding="utf-8") == content
    assert list(tmp_path.iterdir()) == [path]


def test_no_rows_at_all(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet")
    assert pq.read_table(tmp_path / "x.parquet").num_rows == 0
    write(tmp_path / "x.labelstudio.json")
    assert json.loads((tmp_path / "x.labelstudio.json").read_text()) == []
    write(tmp_path / "x.fiftyone.json")
    assert json.loads((tmp_path / "x.fiftyone.json").read_text()) == {"classes": [], "data": {}, "labels": {}}


def test_a_file_for_each_video(tmp_path: Path, bad_row: Row) -> None:
    rows = [dog_and_rain("z/a.mp4"), dog_and_rain("y/A.mov"), dog_and_rain("a-2.mp4"), bad_row]
    written = write(tmp_path / "{}.en.srt", *rows)
    assert sorted(path.name for path in written) == ["A.en.srt", "a-2.en.srt", "a-3.en.srt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A.en.srt", "a-2.en.srt", "a-3.en.srt"]
    (only, *_) = write(tmp_path / "{}.csv", rows[0])
    assert only.name == "a.csv"


@given(st.lists(st.text(alphabet="aA-2./", min_size=1, max_size=8), max_size=12))
def test_names_are_distinct(files: list[str]) -> None:
    stems = distinct_stems(files)
    assert stems.keys() == set(files)
    assert len({stem.casefold() for stem in stems.values()}) == len(stems)
    assert distinct_stems(reversed(files)) == stems


def test_what_cannot_be_is_told_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"x\.srt holds the subtitles of one video, and there are 2; .*\{\}\.srt$"):
        check_segments_output(tmp_path / "x.srt", ["a.mp4", "b.mp4"])
    with pytest.raises(
        UsageError, match=r"x\.Thumbnails\.vtt holds the thumbnails of one video.*\{\}\.thumbnails\.vtt$"
    ):
        check_segments_output(tmp_path / "x.Thumbnails.vtt", ["a.mp4", "b.mp4"])
    check_segments_output(tmp_path / "x.srt", ["a.mp4", "a.mp4"])
    with pytest.raises(UsageError, match=r"\{\} stands in a folder of .*; put it in the name of the file"):
        check_segments_output(tmp_path / "{}" / "x.srt", ["a.mp4"])
    with pytest.raises(
        UsageError, match=r"cannot tell the format of .*x\.json; end it in .jsonl, .thumbnails.vtt, .*parquet"
    ):
        check_segments_output(tmp_path / "x.json", ["a.mp4"])
    for name in ("x.edl", "{}.edl"):
        with pytest.raises(OutputError, match=r"its folder does not exist; create it: mkdir -p"):
            check_segments_output(tmp_path / "absent" / name, ["a.mp4"])
    with pytest.raises(OutputError, match=r"the name is too long; choose a shorter one"):
        check_segments_output(tmp_path / "{}.edl", ["a.mp4", "b" * 252 + ".mp4"])
    assert list(tmp_path.iterdir()) == []


def test_formats_by_name() -> None:
    names = [
        "a.SRT",
        "a.vtt",
        "a.thumbnails.vtt",
        "a.labelstudio.json",
        "a.fiftyone.json",
        "a.edl",
        "a.csv",
        "a.parquet",
    ]
    formats = ["srt", "vtt", "thumbnails", "labelstudio", "fiftyone", "edl", "csv", "parquet"]
    assert [segment_format(Path(name)) for name in names] == formats
    assert [segment_format(Path(name)) for name in ("a.jsonl", "a.json", "a.html", "a")] == [None] * 4


def test_sheets_are_jpegs_of_a_bounded_size(tmp_path: Path) -> None:
    write(tmp_path / "x.thumbnails.vtt", timeline_row("a.mp4"), pictures=100)
    with Image.open(io.BytesIO((tmp_path / "x.thumbnails.jpg").read_bytes())) as sheet:
        assert (sheet.format, sheet.size) == ("JPEG", (1600, 900))
