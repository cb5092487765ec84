"""`--shard` and `olmv merge`: a job array gives what one run gives."""

import json
from pathlib import Path
from typing import Any

from olmv.datasets.shards import Shard
from olmv.library.library import Library
from tests.cli.test_help import examples

LABELS = ("--labels", "dog, guitar, rain")


def rows(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def test_rows_of_shards(olmv: Any, here: Path, model: str) -> None:
    common = ("clips", *LABELS, "--model", model, "--workers", "0", "-q")
    assert olmv("predict", *common, "-o", "whole.jsonl")[0] == 0
    for number in (1, 2):
        assert olmv("predict", *common, "-o", f"part-{number}.jsonl", "--shard", f"{number}/2")[0] == 0
    code, out, err = olmv("merge", "rows.jsonl", "part-1.jsonl", "part-2.jsonl")
    assert (code, out) == (0, "")
    assert "5 videos" in err
    key = lambda row: row["video"]  # noqa: E731
    assert sorted(rows("rows.jsonl"), key=key) == sorted(rows("whole.jsonl"), key=key)
    code, _, err = olmv("predict", *common[:-1], "-o", "rows.jsonl")  # the merged rows are those of the whole run
    assert code == 0
    assert "5 of 5 videos were done before" in err


def test_libraries_of_shards(olmv: Any, here: Path, model: str) -> None:
    for number in (1, 2):
        arguments = ("clips", "--model", model, "--workers", "0", "-q", "-o", f"part-{number}.olmv")
        assert olmv("index", *arguments, "--shard", f"{number}/2")[0] == 0
    assert olmv("merge", "all.olmv", "part-1.olmv", "part-2.olmv", "-q") == (0, "", "")
    library = Library.open("all.olmv")
    assert sorted(entry.video for entry in library) == [f"clips/{seed}.mp4" for seed in range(5)]
    assert (here / "all.olmv" / "videos.parquet").is_file()


def test_another_shard_onto_the_same_output(olmv: Any, here: Path, model: str) -> None:
    common = ("clips", *LABELS, "--model", model, "--workers", "0", "-q", "-o", "x.jsonl")
    first = 1 if Shard(1, 2).of(f"clips/{seed}.mp4" for seed in range(5)) else 2  # one that has videos
    assert olmv("predict", *common, "--shard", f"{first}/2")[0] == 0
    code, _, err = olmv("predict", *common, "--shard", f"{3 - first}/2")
    assert code == 2
    assert f"shard: {first}/2 before, {3 - first}/2 now" in err


def test_a_shard_without_videos(olmv: Any, here: Path, model: str, captioner: Any) -> None:
    video = "clips/0.mp4"
    empty = 2 if Shard(1, 2).of([video]) else 1
    for number in (1, 2):
        options = ("--workers", "0", "-q", "--shard", f"{number}/2")
        assert olmv("predict", video, *LABELS, "--model", model, *options, "-o", f"{number}.jsonl")[0] == 0
        assert olmv("caption", video, "--captioner", "hf:tiny", *options, "-o", f"c{number}.jsonl")[0] == 0
        assert olmv("index", video, "--model", model, *options, "-o", f"{number}.olmv")[0] == 0
    assert rows(f"{empty}.jsonl") == rows(f"c{empty}.jsonl") == []
    for output, *parts in (
        ("rows.jsonl", "1.jsonl", "2.jsonl"),
        ("captions.jsonl", "c1.jsonl", "c2.jsonl"),
        ("all.olmv", "1.olmv", "2.olmv"),
    ):
        assert olmv("merge", output, *parts, "-q") == (0, "", "")
    assert [row["video"] for row in (*rows("rows.jsonl"), *rows("captions.jsonl"))] == [video] * 2
    assert [entry.video for entry in Library.open("all.olmv")] == [video]


def test_shards_of_captions(olmv: Any, here: Path, captioner: Any) -> None:
    common = ("caption", "clips", "--captioner", "hf:tiny", "--workers", "0", "-q")
    for number in (1, 2):
        assert olmv(*common, "-o", f"{number}.jsonl", "--shard", f"{number}/2")[0] == 0
    assert olmv("merge", "all.jsonl", "1.jsonl", "2.jsonl", "-q") == (0, "", "")
    assert sorted(row["video"] for row in rows("all.jsonl")) == [f"clips/{seed}.mp4" for seed in range(5)]


def test_wrong_usage(olmv: Any, here: Path) -> None:
    code, _, err = olmv("predict", "clips", *LABELS, "--shard", "17/16")
    assert (code, err) == (2, "olmv: there is no shard 17/16; count from 1/16 to 16/16 (--shard)\n")
    code, _, err = olmv("merge", "all.jsonl", "gone.jsonl")
    assert (code, err) == (2, "olmv: no such rows: gone.jsonl; name outputs of olmv predict or olmv caption\n")


def test_help_shows_two_examples(olmv: Any) -> None:
    code, out, _ = olmv("merge", "--help")
    assert code == 0
    assert [words[:2] for words in examples(out)] == [["olmv", "merge"]] * 2
