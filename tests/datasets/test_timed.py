"""Truth over time, in each of its forms; what is wrong in it is told in one line, with its place."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.datasets.timed import read_timed
from olmv.datasets.timed_video import TimedVideo, TrueSegment, joined_spans, segment_of
from olmv.errors import InputError


def written(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def segments_of(video: TimedVideo) -> list[tuple[str, float, float]]:
    return [(segment.label, segment.start_s, segment.end_s) for segment in video.segments]


def test_a_line_a_segment_in_seconds_or_clocks(tmp_path: Path) -> None:
    truth = """video,label,start_s,end_s
films/a.mp4,guitar,93.5,117.5
films/a.mp4, dog ,1:33.5,0:01:40.25
films/b.mp4,,,
films/a.mp4,guitar,500ms,2s
"""
    (a, b), notes = read_timed(written(tmp_path / "truth.csv", truth))
    assert a.video == str(tmp_path / "films/a.mp4")
    assert segments_of(a) == [("guitar", 93.5, 117.5), ("dog", 93.5, 100.25), ("guitar", 0.5, 2)]
    assert (b.video, b.segments, b.is_id) == (str(tmp_path / "films/b.mp4"), (), False)
    assert notes == ()


def test_objects_a_line_a_segment_or_a_video(tmp_path: Path) -> None:
    rows = [
        {"video": "a.mp4", "label": "guitar", "start": "0:05", "end": 7},
        {"video": "a.mp4", "segments": [{"label": "dog", "start_s": 1, "end_s": 2.5}]},
        {"video": "b.mp4", "segments": []},
        {"video": "c.mp4", "label": None},
    ]
    lines = "\n\n".join(map(json.dumps, rows))
    (a, b, c), _ = read_timed(written(tmp_path / "truth.jsonl", lines))
    assert segments_of(a) == [("guitar", 5, 7), ("dog", 1, 2.5)]
    assert b.segments == c.segments == ()


def test_rows_of_predict_are_truth_where_they_have_segments(tmp_path: Path) -> None:
    row = {"video": "a.mp4", "status": "ok", "labels": []}
    good = row | {"segments": [{"label": "dog", "start_s": 0.0, "end_s": 2.0, "peak": 0.9, "peak_s": 1, "mean": 0.8}]}
    failed = {"video": "b.mp4", "status": "error", "labels": []}
    path = written(tmp_path / "rows.jsonl", f"{json.dumps(good)}\n{json.dumps(failed)}")
    (a,), _ = read_timed(path)
    assert (a.video, segments_of(a)) == ("a.mp4", [("dog", 0, 2)])  # as it was given to predict
    with pytest.raises(InputError, match=r"rows.jsonl line 1 does not say when .*; truth over time has video, label"):
        read_timed(written(path, json.dumps(row)))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.mp4,dog,9,5", r"truth.csv line 2: 'dog' starts at 9 s and ends at 5 s; let it end after it starts"),
        ("a.mp4,dog,5,5", r"line 2: 'dog' starts at 5 s and ends at 5 s; let it end"),
        ("a.mp4,dog,-3,5", r"line 2: the start of 'dog' is '-3', before the video; count from its first frame"),
        ("a.mp4,dog,1,nan", r"line 2: the end of 'dog': 'nan' is no time; write 2s, 500ms, 1.5min, mm:ss or h:mm:ss"),
        ("a.mp4,dog,1:75,2:00", r"line 2: the start of 'dog': '1:75' is no time"),
        ("a.mp4,dog,1,", r"line 2: the end of 'dog' is missing; write seconds, such as 93.5, or a clock"),
        ("a.mp4,dog", r"line 2: the start of 'dog' is missing"),
        ("a.mp4,,1,2", r"line 2 has times without a label; name what is true then"),
        (",dog,1,2", r"row 2 has no 'video'"),
    ],
)
def test_what_is_wrong_in_csv(tmp_path: Path, line: str, message: str) -> None:
    path = written(tmp_path / "truth.csv", f"video,label,start_s,end_s\n{line}\n")
    with pytest.raises(InputError, match=message):
        read_timed(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"label": "dog", "start_s": -1.5, "end_s": 2}, r"line 1: the start of 'dog' is -1.5 s, before the video"),
        ({"label": "dog", "start_s": True, "end_s": 2}, r"line 1: the start of 'dog' is True, no time; write seconds"),
        ({"label": "dog", "start_s": 1, "end_s": 10**400}, r"the end of 'dog' is 1000.*, no time"),
        ({"label": "dog", "start_s": 1, "end_s": [2]}, r"line 1: the end of 'dog' is \[2\], no time"),
        ({"label": ["dog"], "start_s": 1, "end_s": 2}, r"line 1 has times without a label"),
        ({"segments": [{"label": "a", "start_s": 1, "end_s": 2}, 7]}, r"line 1 segment 2 is no object; write label"),
        ({"labels": ["dog"]}, r"line 1 does not say when \(columns: 'video', 'labels'\); truth over time has"),
    ],
)
def test_what_is_wrong_in_jsonl(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    path = written(tmp_path / "truth.jsonl", {"video": "a.mp4"} | row)
    with pytest.raises(InputError, match=message):
        read_timed(path)


def test_a_manifest_of_labels_is_no_truth_over_time(tmp_path: Path) -> None:
    path = written(tmp_path / "truth.csv", "video,label,start\na.mp4,dog,1\n")
    with pytest.raises(InputError, match=r"line 2 does not say when \(columns: 'video', 'label', 'start'\)"):
        read_timed(path)
    with pytest.raises(InputError, match=r"truth.csv lists no videos; add lines with video, label, start_s, end_s"):
        read_timed(written(path, "video,label,start_s,end_s\n"))
    with pytest.raises(InputError, match=r"truth.txt is no truth over time; give .csv, .jsonl or .json with video"):
        read_timed(tmp_path / "truth.txt")


def task(*regions: Any, video: str = "/data/upload/3/0123abcd-a b.mp4", **more: Any) -> dict[str, Any]:
    return {"data": {"video": video} | more, "annotations": [{"result": list(regions)}]}


def ranges(*pairs: tuple[Any, int], label: str = "guitar", **more: Any) -> dict[str, Any]:
    frames = [{"start": start, "end": end} for start, end in pairs]
    return {"type": "timelinelabels", "value": {"ranges": frames, "timelinelabels": [label]} | more}


def test_label_studio(tmp_path: Path) -> None:
    seconds = {"type": "labels", "value": {"start": 1.5, "end": 4, "labels": ["dog"]}}
    choice = {"type": "choices", "value": {"choices": ["good"]}}
    tasks = [
        task(ranges((1, 25), (51, 100)), seconds, choice, fps=25),
        task(ranges((1, 30), framesCount=300, duration=10.0), video="/data/local-files/?d=films/c.mp4"),
        task(video="https://host/films/d%20e.mp4?sig=1"),
        {"data": {"video": "open.mp4"}, "annotations": [{"result": [], "was_cancelled": True}]},
        {
            "data": {"clip": "two.mp4"},
            "annotations": [{"result": [seconds]}, {"result": [], "ground_truth": True}],
        },
    ]
    (a, c, d, two), notes = read_timed(written(tmp_path / "export.json", tasks))
    assert a.video == "/data/upload/3/a b.mp4"
    assert segments_of(a) == [("guitar", 0, 1), ("guitar", 2, 4), ("dog", 1.5, 4)]  # frames from 1, the last included
    assert (c.video, segments_of(c)) == (str(tmp_path / "films/c.mp4"), [("guitar", 0, 1)])
    assert (d.video, d.segments) == ("/films/d e.mp4", ())
    assert (two.video, two.segments) == (str(tmp_path / "two.mp4"), ())
    assert notes == (
        "1 of 5 tasks have no annotation and are left out",
        "1 of 5 tasks have several annotations; the one marked as ground truth counts, else the first",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", r"truth.json is not JSON \(Expecting value.*; export it again"),
        ([{"video": "a.mp4", "timeline": []}], r"neither ActivityNet's JSON nor Label Studio's; export as JSON, not"),
        ([task(ranges((1, 2)))], r"task 1 counts frames and tells no frame rate; put 'fps' into the data of its task"),
        ([task(ranges((1, 2), fps=0))], r"task 1 counts frames and tells no frame rate"),
        ([task(ranges(("a", 2)), fps=25)], r"task 1 has a range without frames, .*; write whole numbers as start"),
        ([task(ranges((9, 2)), fps=25)], r"task 1: 'guitar' starts at 0.32 s and ends at 0.08 s"),
        ([task(), {"annotations": []}], r"task 2 has no data; export as JSON, not JSON-MIN"),
        ([task(video="", x="a", y="b")], r"task 1 does not say which video it is about; call it 'video' in its data"),
        ([task(video="https://host")], r"task 1: 'https://host' names no file; give its path"),
        ({"database": {"x": {"annotations": None}}}, r"'x' has no list of annotations; write \[\] where nothing"),
        ({"database": {"x": {"annotations": [{"segment": [1]}]}}}, r"'x' annotation 1 has no segment; write \[start"),
        ({"database": {"x": {"annotations": [{"segment": [3, 1], "label": "a"}]}}}, r"'x' annotation 1: 'a' starts at"),
        ({"database": {}}, r"truth.json lists no videos"),
    ],
)
def test_what_is_wrong_in_json(tmp_path: Path, content: Any, message: str) -> None:
    path = written(tmp_path / "truth.json", content)
    with pytest.raises(InputError, match=message):
        read_timed(path)


def test_activitynet(tmp_path: Path) -> None:
    database = {
        "sJzM0": {"subset": "validation", "annotations": [{"segment": [0.01, 9.5], "label": "Long jump"}]},
        "nothing": {"subset": "validation", "annotations": []},
        "hidden": {"subset": "testing", "annotations": []},
    }
    (a, b), notes = read_timed(written(tmp_path / "activity_net.v1-3.json", {"database": database}))
    assert (a, b.segments) == (TimedVideo("sJzM0", (TrueSegment("Long jump", 0.01, 9.5),), is_id=True), ())
    assert notes == ("1 videos of the test set have no published truth and are left out",)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=12))
def test_joined_spans_cover_the_same_time_without_overlap(pairs: list[tuple[int, int]]) -> None:
    spans, joined = joined_spans((start, start + length) for start, length in pairs)
    assert len(spans) + joined == len(pairs)
    assert (spans[1:, 0] >= spans[:-1, 1]).all()
    covered = {t for start, length in pairs for t in range(start, start + length)}
    assert {t for start, end in spans.tolist() for t in range(int(start), int(end))} == covered


def test_touching_segments_stay_two() -> None:
    spans, joined = joined_spans([(2, 4), (0, 2)])
    assert (spans.tolist(), joined) == ([[0, 2], [2, 4]], 0)


@given(st.floats(0, 1e6), st.floats(1e-3, 1e6))
def test_numbers_stay_as_they_are(start: float, length: float) -> None:
    segment = segment_of(" dog ", start, start + length, "here")
    assert (segment.label, segment.start_s, segment.end_s) == ("dog", start, start + length)
