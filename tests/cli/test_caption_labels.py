"""Labels out of captions, and captions out of labels."""

from pathlib import Path
from typing import Any

from olmv.datasets.manifests import read_manifest
from tests.cli.captions import Captioner, caption, rows
from tests.support.llm_stub import StubServer, tells


def test_labels_become_a_manifest(olmv: Any, here: Path, captioner: Captioner) -> None:
    (here / "out").mkdir()
    with StubServer(tells) as server:
        code, _, err = caption(olmv, server, "--extract-labels", "out/labels.jsonl")
        assert code == 0, err
        asked = len(server.requests)
        caption(olmv, server, "--extract-labels", "out/labels.jsonl")
        assert len(server.requests) == asked == 10
    assert "wrote out/labels.jsonl (1 labels)" in err
    assert rows()[0]["labels"] == ["dog"]  # "dogs" is the same, "running" is in no caption
    manifest = read_manifest("out/labels.jsonl")
    assert [Path(row.video).resolve() for row in manifest] == [
        path.resolve() for path in sorted(Path("clips").iterdir())
    ]
    assert manifest[0].labels == ("dog",)
    assert manifest[0].caption == rows()[0]["caption"]


def test_labels_can_be_asked_for_later(olmv: Any, here: Path, captioner: Captioner) -> None:
    with StubServer(tells) as server:
        caption(olmv, server)
        code, _, err = caption(olmv, server, "--extract-labels", "labels.jsonl")
        assert len(server.requests) == 10
    assert code == 0, err
    assert sum(captioner.batches) == 20
    assert len(read_manifest("labels.jsonl")) == 5


def test_similarity_is_recorded_and_filters(olmv: Any, here: Path, captioner: Captioner, model: str) -> None:
    with StubServer(tells) as server:
        code, _, err = caption(
            olmv, server, "--model", model, "--min-similarity", "2", "--extract-labels", "labels.jsonl"
        )
    assert code == 0, err
    assert all(-1 <= row["similarity"] <= 1 and row["kept"] is False for row in rows())
    assert Path("labels.jsonl").read_text() == ""


def test_labels_of_olmv_mini_need_no_language_model(olmv: Any, here: Path) -> None:
    shipped = Path(__file__).resolve().parents[2] / "olmv" / "data" / "clips"
    command = ["caption", str(shipped), "-o", "c.jsonl", "--captioner", "labels:olmv-mini"]
    code, out, err = olmv(*command, "--extract-labels", "labels.jsonl", "-q")
    assert (code, out) == (0, ""), err
    by_name = {Path(row["video"]).name: row for row in rows()}
    assert "guitar" in by_name["guitar.mp4"]["caption"]
    assert {row["captioner"] for row in rows()} == {"labels:olmv-mini"}
    assert all(row["llm"] is None and row["frame_captions"] == [] and row["labels"] for row in rows())
    assert len(read_manifest("labels.jsonl")) == len(rows())
    before = Path("c.jsonl").read_bytes()
    assert olmv(*command, "-q")[0] == 0
    assert Path("c.jsonl").read_bytes() == before


def test_a_label_file_is_read_before_old_rows_go(olmv: Any, here: Path) -> None:
    shipped = Path(__file__).resolve().parents[2] / "olmv" / "data" / "clips" / "guitar.mp4"
    Path("labels.txt").write_text("guitar\n")
    command = ["caption", str(shipped), "-o", "c.jsonl", "--captioner", "labels:olmv-mini", "--labels", "labels.txt"]
    assert olmv(*command)[0] == 0
    before = Path("c.jsonl").read_bytes()
    Path("labels.txt").write_text("\n")
    code, _, err = olmv(*command, "--no-resume")
    assert code == 2
    assert "labels.txt holds no labels" in err
    assert Path("c.jsonl").read_bytes() == before
    Path("labels.txt").write_text("guitar\npiano\n")
    code, _, err = olmv(*command)
    assert code == 2
    assert "was made with other settings (labels: 1 before, 2 now)" in err
