"""`olmv predict`, from files to rows, tables and a report."""

import csv
import json
import os
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import many_clips, run_to_death, start
from tests.support.report_page import ReportPage
from tests.support.samples import write_clip

LABELS = ("--labels", "dog, guitar, rain")


def rows(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def predict(olmv: Any, here: Path, model: str) -> Any:
    """`olmv predict` with the tiny model, decoding in this process."""
    return lambda *arguments: olmv("predict", *arguments, "--model", model, "--workers", "0")


def test_plain_lines_on_a_pipe(predict: Any) -> None:
    code, out, err = predict("clips", *LABELS, "--threshold", "0")
    assert code == 0
    lines = [line.split("\t") for line in out.splitlines()]
    assert [line[0] for line in lines] == [f"clips/{seed}.mp4" for seed in range(5)]
    assert all(len(line) == 4 and cell.startswith("+") for line in lines for cell in line[1:])
    assert "5 videos" in err
    assert "videos/s" in err


def test_quiet(predict: Any) -> None:
    code, out, err = predict("clips", *LABELS, "--quiet")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 5  # there is no file, so the rows are the result
    assert predict("clips", *LABELS, "--quiet", "-o", "x.jsonl") == (0, "", "")


def test_all_formats_tell_the_same(predict: Any) -> None:
    for name in ("x.jsonl", "x.csv", "x.parquet"):
        assert predict("clips", *LABELS, "-q", "-o", name)[0] == 0
    wanted = [
        (row["video"], label["label"], label["probability"]) for row in rows("x.jsonl") for label in row["labels"]
    ]
    with Path("x.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [(line["video"], line["label"], float(line["probability"])) for line in lines] == wanted
    table = pq.read_table("x.parquet").to_pylist()
    assert [(line["video"], line["label"], line["probability"]) for line in table] == wanted


def test_failed_inputs_exit_1_and_have_rows(predict: Any, here: Path) -> None:
    (here / "bad.mp4").write_text("not a video")
    code, out, err = predict("clips/0.mp4", "bad.mp4", *LABELS, "-o", "x.jsonl")
    assert code == 1
    assert "bad.mp4\terror: NotAVideoError:" in out
    assert "1 video, 1 failed" in err
    good, bad = rows("x.jsonl")
    assert (good["status"], bad["status"], bad["error"]["type"]) == ("ok", "error", "NotAVideoError")


def test_paths_on_standard_input(predict: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("clips/1.mp4\nclips/gone.mp4\n"))
    code, out, _ = predict("-", *LABELS)
    assert code == 1
    assert [line.split("\t")[0] for line in out.splitlines()] == ["clips/1.mp4", "clips/gone.mp4"]


def test_report_and_explanation(predict: Any) -> None:
    code, out, _ = predict(
        "clips", *LABELS, "--threshold", "0", "--explain", "--report", "r.html", "-o", "x.jsonl", "--top-k", "2"
    )
    assert code == 0
    page = ReportPage(Path("r.html"))
    assert [len(detail["jpegs"]) for detail in page.details] == [8] * 5
    assert all(detail["why"] for detail in page.details)
    assert "\tdog: " in out or "\tguitar: " in out or "\train: " in out
    assert all(len(row["labels"]) == 2 and row["explanations"] for row in rows("x.jsonl"))
    assert not Path("r.html.pictures.jsonl").exists()


def test_a_report_alone_and_a_report_later(predict: Any) -> None:
    assert predict("clips", *LABELS, "-q", "-r", "r.html")[0] == 0
    assert predict("clips", *LABELS, "-q", "-o", "x.jsonl")[0] == 0
    code, _, err = predict("clips", *LABELS, "-o", "x.jsonl", "-r", "later.html")
    assert code == 0
    assert "5 of 5 videos were done before" in err
    for name in ("r.html", "later.html"):
        assert [len(detail["jpegs"]) for detail in ReportPage(Path(name)).details] == [8] * 5


def test_pictures_of_a_report_beside_it(predict: Any) -> None:
    assert predict("clips", *LABELS, "-q", "-r", "r.html", "--report-pictures", "folder")[0] == 0
    addresses = [address for detail in ReportPage(Path("r.html")).details for address in detail["src"]]
    assert len(addresses) == 5 * 8
    assert all(Path(address).read_bytes().startswith(b"\xff\xd8") for address in addresses)
    code, _, err = predict("clips", *LABELS, "--report-pictures", "folder")
    assert (code, "these are pictures of a page; name a report (--report-pictures)" in err) == (2, True)
    (Path("s_pictures")).mkdir()
    code, _, err = predict("clips", *LABELS, "-r", "s.html", "--report-pictures", "folder")
    assert (code, "s_pictures is not a folder of pictures that olmv wrote" in err) == (2, True)


def test_resume_does_only_what_is_missing(predict: Any, here: Path) -> None:
    assert predict("clips/0.mp4", "clips/1.mp4", *LABELS, "-o", "x.jsonl")[0] == 0
    before = Path("x.jsonl").read_text()
    code, out, err = predict("clips", *LABELS, "-o", "x.jsonl")
    assert code == 0
    assert len(out.splitlines()) == 3
    assert "2 of 5 videos were done before" in err
    assert Path("x.jsonl").read_text().startswith(before)
    assert predict("clips", *LABELS, "-q", "-o", "fresh.jsonl")[0] == 0
    assert Path("fresh.jsonl").read_text() == Path("x.jsonl").read_text()


def test_other_settings_are_refused_and_no_resume_starts_over(predict: Any) -> None:
    assert predict("clips", *LABELS, "-o", "x.jsonl")[0] == 0
    code, _, err = predict("clips", *LABELS, "--frames", "4", "-o", "x.jsonl")
    assert code == 2
    assert err == (
        "olmv: x.jsonl was made with other settings (frames: 8 before, 4 now; every: 2.0 before, none now); "
        "start over, or choose another output (--no-resume, --output)\n"
    )
    assert predict("clips", *LABELS, "--frames", "4", "-o", "x.jsonl", "--no-resume")[0] == 0
    assert [row["frames"]["requested"] for row in rows("x.jsonl")] == [4] * 5


def test_another_threshold_decides_the_rows_anew(predict: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("z.mp4").write_text("not a video")
    arguments = ("clips", "z.mp4", *LABELS)
    assert predict(*arguments, "-o", "x.csv")[0] == 1
    assert predict(*arguments, "-o", "fresh.jsonl", "--threshold", "0")[0] == 1
    with monkeypatch.context() as patch:
        patch.setattr("olmv.classifier.Classifier.from_pretrained", None)  # no model is needed
        code, _, err = predict(*arguments, "-o", "x.csv", "--threshold", "0")
    assert code == 1  # one of the videos failed
    assert "6 rows were decided anew from their probabilities, with the new thresholds; no video was decoded" in err
    assert rows("x.csv.journal.jsonl") == rows("fresh.jsonl")
    with Path("x.csv").open(newline="") as file:
        assert {(line["threshold"], line["positive"]) for line in csv.DictReader(file)} == {("0.0", "true"), ("", "")}
    code, _, err = predict(*arguments, "-o", "x.csv", "--threshold", "0")
    assert "decided anew" not in err  # the file says so by now


def test_more_labels_are_told_what_they_cost(predict: Any) -> None:
    assert predict("clips", "-l", "dog,cat", "-o", "x.jsonl")[0] == 0
    before = Path("x.jsonl").read_bytes()
    code, _, err = predict("clips", "-l", "dog,cat,zebra", "-o", "x.jsonl")
    assert code == 2
    assert err == (
        "olmv: 1 labels are new ('zebra'), and x.jsonl has 5 videos without them: all are decoded and scored again "
        "when you start over; or name the new labels alone, and another output (--no-resume, --output)\n"
    )
    assert Path("x.jsonl").read_bytes() == before


def test_a_failed_start_leaves_nothing_behind(olmv: Any, here: Path) -> None:
    before = set(here.iterdir())
    code, _, err = olmv("predict", "clips", *LABELS, "-m", "ViT-B32/openai", "-o", "x.jsonl", "-r", "r.html")
    assert code == 2
    assert "did you mean ViT-B-32/openai" in err
    assert err.count("\n") == 1
    assert set(here.iterdir()) - before <= {here / "cache"}


@pytest.mark.slow
def test_kill_and_resume_equals_an_uninterrupted_run(olmv: Any, here: Path, model: str) -> None:
    for seed in range(12):
        write_clip(here / "many" / f"{seed:02d}.mp4", seed=seed, frames=60, size=(160, 120))
    (here / "many" / "03.mp4").write_text("not a video")
    common = ("predict", "many", *LABELS, "-m", model, "--workers", "1", "--batch-size", "24", "-q", "--explain")
    assert olmv(*common, "-o", "whole.csv", "-r", "whole.html")[0] == 1

    journal = here / "x.csv.journal.jsonl"
    run_to_death(*common, "-o", "x.csv", "-r", "r.html", ending=journal.name, rows=7, cwd=here)
    assert journal.read_bytes().count(b"\n") == 7
    with journal.open("ab") as file:  # as if the last write had been cut short
        file.write(b'{"video": "many/1')
    assert olmv(*common, "-o", "x.csv", "-r", "r.html")[0] == 1

    assert journal.read_bytes() == (here / "whole.csv.journal.jsonl").read_bytes()
    assert (here / "x.csv").read_bytes() == (here / "whole.csv").read_bytes()
    pages = [(here / page).read_text(encoding="utf-8") for page in ("r.html", "whole.html")]
    resumed, whole_page = (page.partition("<main")[2].partition("<footer")[0] for page in pages)
    assert resumed == whole_page


def test_a_full_disk_is_one_clear_line(here: Path, model: str) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))

    os.environ["OLMV_CACHE"] = "/dev/null/no-cache"  # here's fixture puts it back
    command = ("predict", "clips", *LABELS, "-m", model, "--workers", "0", "--batch-size", "8", "-o", "x.jsonl", "-q")
    run = start(*command, cwd=here, preexec_fn=small_files)
    _, err = run.communicate(timeout=200)
    assert run.returncode == 2, err
    lines = [line for line in err.splitlines() if line.startswith("olmv:")]
    assert len(lines) == 1
    assert "cannot write x.jsonl: the file would exceed the size limit" in lines[0]
    assert "Traceback" not in err
    kept = rows(here / "x.jsonl")
    assert 1 <= len(kept) < 5


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_really_full_disk(predict: Any, here: Path) -> None:
    disk = here / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no mounting here")
    try:
        code, _, err = predict(
            "clips", "--labels", ", ".join(f"label {i}" for i in range(60)), "-q", "-o", "disk/x.jsonl"
        )
        assert code == 2
        assert "cannot write disk/x.jsonl: the disk is full; make room and run again" in err
        assert err.count("\n") == 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("clips", *LABELS, "-o", "gone/x.jsonl"), "cannot write gone/x.jsonl: its folder does not exist"),
        (("clips", *LABELS, "-o", "x.txt"), "cannot tell the format of x.txt; end it in .jsonl, .csv, .parquet"),
        (("clips", *LABELS, "-r", "r.pdf"), "the report is an HTML file; end r.pdf in .html"),
        (("clips", *LABELS, "-r", "clips"), "the report is an HTML file"),
        (("gone.mp4", *LABELS), "no such file or folder: gone.mp4"),
        (("empty", *LABELS), "no videos or photos in empty"),
        (("clips", "-l", "empty.txt"), "empty.txt"),
        (("clips", "-l", "latin.txt"), "latin.txt is not UTF-8"),
        (("clips", *LABELS, "--attributes", "gone.json"), "gone.json"),
        (("clips", *LABELS, "--thresholds", "gone.json"), "gone.json"),
        (("clips", *LABELS, "--device", "gpu"), "unknown device 'gpu'"),
        (
            ("clips", *LABELS, "--dtype", "int4", "-o", "x.jsonl"),
            "float16, bfloat16 or int8",
        ),
        (("clips", *LABELS, "--templates", "nothing"), "no template set 'nothing'"),
    ],
)
def test_wrong_usage(predict: Any, here: Path, arguments: tuple[str, ...], message: str) -> None:
    (here / "empty").mkdir()
    (here / "empty.txt").write_text("# only a comment\n\n")
    (here / "latin.txt").write_bytes("café\n".encode("latin-1"))
    code, out, err = predict(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("olmv: ")
    assert err.count("\n") == 1


def test_an_output_that_may_not_be_written(predict: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # root may write anywhere, so the system's answer is simulated
    def refuse(*_: Any, **__: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("olmv.io.journal.os.open", refuse)
    code, _, err = predict("clips", *LABELS, "-o", "x.jsonl")
    assert code == 2
    assert "cannot write x.jsonl: permission denied" in err


def test_notes_about_labels(predict: Any, here: Path) -> None:
    (here / "labels.txt").write_text("dog\ndog\n" + "a b " * 50 + "\n")
    code, _, err = predict("clips/0.mp4", "-l", "labels.txt")
    assert code == 0
    assert "note: 1 repeated label dropped: 'dog'" in err
    assert "note: label 'a b a b" in err
    assert "reads 77, the end is cut off" in err


def test_ten_thousand_labels_show_the_top_ones(predict: Any, here: Path) -> None:
    (here / "labels.txt").write_text("\n".join(f"thing {i}" for i in range(10_000)))
    code, out, _ = predict(
        "clips/0.mp4", "-l", "labels.txt", "--templates", "none", "-o", "x.jsonl", "-r", "r.html", "--frames", "2"
    )
    assert code == 0
    assert len(out.rstrip("\n").split("\t")) == 6
    assert len(rows("x.jsonl")[0]["labels"]) == 10_000
    assert Path("r.html").stat().st_size < 400_000  # names and thresholds of all, probabilities of 60


def test_control_c(here: Path, model: str) -> None:
    many_clips(here, 1000)
    run = start("predict", "many", *LABELS, "-m", model, "--batch-size", "8", "-o", "x.jsonl", cwd=here)
    assert run.stdout is not None
    run.stdout.readline()
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in err
    kept = len(rows(here / "x.jsonl"))
    assert 1 <= kept < 1000
    noun = "row" if kept == 1 else "rows"
    told = f"olmv: stopped; {kept} {noun} kept in x.jsonl; run the same command to go on"
    assert err.splitlines()[-1] == told


def test_without_the_default_olmv_lite_runs_and_a_named_model_is_never_replaced(
    olmv: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("olmv.models.default.default_model", lambda: "olmv-lite")
    monkeypatch.setattr("olmv.io.network.is_online", lambda: False)
    code, _, err = olmv("predict", "clips/0.mp4", "-l", "dog", "-o", "rows.jsonl")
    assert code == 0
    assert "PE-Core-L-14-336/meta, the default, cannot be had here: running olmv-lite" in err
    assert json.loads((here / "rows.jsonl").read_text())["model"] == "olmv-lite"
    code, _, err = olmv("predict", "clips/0.mp4", "-l", "dog", "--model", "PE-Core-L-14-336/meta")
    assert code == 2
    assert "the weights of 'PE-Core-L-14-336/meta' cannot be had" in err
