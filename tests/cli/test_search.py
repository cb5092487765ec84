"""`olmv search`, from a library to moments, rows and a page."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from olmv.models.registry import load_model
from tests.cli.test_help import examples
from tests.support.libraries import clip_library
from tests.support.samples import write_clip


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, model: str, clips: Path) -> Path:
    """A library of five clips, and of one that is a copy of the first."""
    folder = tmp_path_factory.mktemp("films")
    write_clip(folder / "copy.mp4", seed=0)
    paths = [*(f"{clips}/{seed}.mp4" for seed in range(5)), str(folder / "copy.mp4")]
    return clip_library(folder / "films.olmv", load_model(model, device="cpu", dtype="float32"), paths).folder


@pytest.fixture
def search(olmv: Any, here: Path, stored: Path) -> Any:
    (here / "films.olmv").symlink_to(stored)
    return lambda *arguments: olmv("search", "films.olmv", *arguments)


def rows(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def test_the_two_examples_of_the_help_run(olmv: Any, search: Any, here: Path) -> None:
    found = examples(olmv("search", "--help")[1])
    assert len(found) == 2
    for words in found:
        code, _, err = olmv(*words[1:])
        assert code == 0, err
    assert {"found.html", "copies.csv"} <= {path.name for path in here.iterdir()}


def test_moments_on_a_pipe(search: Any) -> None:
    code, out, err = search("dog", "--threshold", "0", "--top", "3")
    assert code == 0
    lines = [line.split("\t") for line in out.splitlines()]
    assert len(lines) == 3
    assert all(len(line) == 3 and "-" in line[1] and 0 <= float(line[2]) <= 1 for line in lines)
    assert "3 moments in 6 videos" in err


def test_a_byte_that_changed(olmv: Any, stored: Path, here: Path) -> None:
    shutil.copytree(stored, "copy.olmv")
    [rows_file] = Path("copy.olmv").glob("fragments/*/rows.arrow")
    content = bytearray(rows_file.read_bytes())
    content[len(content) // 2] ^= 1
    rows_file.write_bytes(content)
    code, out, err = olmv("search", "copy.olmv", "dog")
    assert (code, out) == (2, "")
    assert "rows.arrow is not as it was written (its digest differs)" in err


def test_nothing_found_is_an_answer(search: Any) -> None:
    code, out, err = search("dog", "--threshold", "1", "--report", "r.html", "-o", "x.jsonl")
    assert (code, out) == (0, "")
    assert "nothing found in 6 videos" in err
    assert "the best there is: " in err
    assert "where 1 is asked for (--threshold)" in err
    assert rows("x.jsonl") == []
    assert "Nothing found." in Path("r.html").read_text(encoding="utf-8")


def test_formats_tell_the_same(search: Any) -> None:
    query = ("dog", "rain", "--threshold", "0", "--all-moments", "--quiet")
    assert search(*query, "-o", "x.jsonl", "--report", "r.html") == (0, "", "")
    assert search(*query, "-o", "x.csv") == (0, "", "")
    code, out, _ = search(*query, "-o", "-")
    assert code == 0
    wanted = rows("x.jsonl")
    assert [json.loads(line) for line in out.splitlines()] == wanted
    assert len(wanted) == 6
    assert all(row["thumbnail"].startswith("/9j/") for row in wanted)
    with Path("x.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [(line["video"], float(line["probability"])) for line in lines] == [
        (row["video"], row["probability"]) for row in wanted
    ]
    assert Path("r.html").read_text(encoding="utf-8").count('<li class="moment"') == 6


def test_like_and_filters(search: Any, here: Path) -> None:
    code, out, _ = search("--like", "clips/3.mp4", "--top", "1")
    assert code == 0
    assert out.split("\t")[0].endswith("/3.mp4")
    code, out, _ = search("dog", "--threshold", "0", "--path", "copy.mp4", "--longer-than", "500ms")
    assert [line.split("\t")[0].rpartition("/")[2] for line in out.splitlines()] == ["copy.mp4"]
    code, out, err = search("dog", "--threshold", "0", "--longer-than", "2h")
    assert (code, out) == (0, "")
    assert "nothing found in 0 videos" in err
    code, out, err = search("dog", "--threshold", "0", "--without", "dog", "--label", "rain>0")
    assert code == 0
    kept = out.splitlines()
    code, out, err = search("dog", "--threshold", "0", "--label", "dog>1")
    assert (code, out) == (0, "")
    assert "no moment is left by what must not be true, or by the labels" in err
    assert len(kept) <= 6


def test_copies(search: Any) -> None:
    code, out, err = search("--duplicates", "--threshold", "0.9996", "-o", "x.csv", "--report", "r.html")
    assert code == 0
    assert "videos in 1 group of copies among 6 videos" in err
    copies = [line.split("\t") for line in out.splitlines()]
    assert {"0.mp4", "copy.mp4"} <= {line[1].rpartition("/")[2] for line in copies}
    with Path("x.csv").open(newline="", encoding="utf-8") as file:
        assert [line["group"] for line in csv.DictReader(file)] == ["1"] * len(copies)
    code, out, _ = search("--duplicates", "--threshold", "0.9996", "-o", "-")
    assert [json.loads(line)["similarity"] > 0.99 for line in out.splitlines()] == [True] * len(copies)
    assert "no copies among 1 video," in search("--duplicates", "--path", "copy.mp4")[2]
    assert search("--duplicates", "dog")[2].startswith(
        "olmv: --duplicates compares the videos with each other; leave out TEXT"
    )
    assert "leave out --top" in search("--duplicates", "--top", "3")[2]


def test_an_empty_library(olmv: Any, here: Path, model: str) -> None:
    clip_library(here / "empty.olmv", load_model(model, device="cpu", dtype="float32"), [])
    code, out, err = olmv("search", "empty.olmv", "dog", "--report", "r.html")
    assert (code, out) == (0, "")
    assert "note: empty.olmv has no videos; index some" in err
    assert olmv("search", "empty.olmv", "--duplicates")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there is nothing to look for; give a text or a file (--like)"),
        ([""], "the query is empty; write in words what a video shows"),
        (["--without", "dog"], "there is nothing to look for beside what is to be left out"),
        (["dog", "--threshold", "2"], "threshold is 2; give a probability from 0 to 1 (--threshold)"),
        (["dog", "--top", "0"], "top is 0; ask for at least 1 (--top)"),
        (["dog", "--label", "rain"], "label 'rain' has no probability; write it as \"dog>0.5\" (--label)"),
        (["dog", "--path", "*.mov"], "matches '*.mov'; its paths look like "),
        (["dog", "--longer-than", "5", "--shorter-than", "4"], "swap the two (--longer-than, --shorter-than)"),
        (["dog", "--longer-than", "soon"], "'soon' is no time"),
        (["--like", "."], ". is a folder; name an image or a video to compare with (--like)"),
        (["--like", "gone.png"], "no such file: gone.png; name an image or a video to compare with (--like)"),
        (["--like", "bad.mp4"], "cannot compare with bad.mp4: "),
        (["dog", "-o", "x.txt"], "x.txt is none of .jsonl, .csv; end it in one of them (--output)"),
        (["dog", "--report", "x.txt"], "the report is an HTML file; end x.txt in .html (--report)"),
        (["dog", "--model", "olmv-mini"], "has the embeddings of local-dir:"),
        (["dog", "--model", "nothing"], "nothing"),
    ],
)
def test_wrong_usage_is_one_line(search: Any, here: Path, arguments: list[str], message: str) -> None:
    (here / "bad.mp4").write_bytes(b"\0" * 1000)
    code, out, err = search(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_what_is_no_library(olmv: Any, here: Path, stored: Path) -> None:
    code, _, err = olmv("search", "clips", "dog")
    assert code == 2
    assert "clips is no library: it has no library.json; make one with olmv index" in err


def test_notes_of_a_query(search: Any) -> None:
    code, _, err = search("word " * 500, "狗")
    assert code == 0
    assert "tokens; " in err
    assert "the end is cut off" in err
    assert "does not look like English" in err
