"""`olmv models export`."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from olmv.cli.models.export import EPILOG
from olmv.models.export.onnx import Export
from olmv.models.registry import load_model
from olmv.models.storage.saving import save_pretrained
from tests.support.tiny import tiny_model, write_open_clip_folder


def _copy(_: Any, __: Any, ___: Any, path: Path, ____: str) -> int:
    shutil.copy(Path("mini-onnx") / path.name, path)
    return 20


@pytest.mark.slow
def test_the_examples_run(olmv: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_pretrained(load_model("olmv-mini", device="cpu", dtype="float32"), here / "runs" / "pets" / "model")
    lines = [line.split(maxsplit=1)[1] for line in EPILOG.splitlines() if line.startswith("  olmv")]
    assert len(lines) == 2
    for line in lines:
        code, out, err = olmv(*shlex.split(line))
        assert (code, out) == (0, "")
        told = err.splitlines()
        assert [row.split()[-1] for row in told[:3]] == ["text.onnx", "video.onnx", "export.json"]
        assert "largest difference from torch: " in told[3]
        assert told[4].startswith(f"wrote {line.split()[-1]}")
        monkeypatch.setattr("olmv.models.export.graphs.trace", _copy)  # the second is the same model
    assert load_model("mini-onnx").temporal == "transformer"  # the folder is a model, too
    shutil.rmtree("pets-onnx")
    assert olmv(*shlex.split(lines[1]), "--quiet") == (0, "", "")
    assert load_model("pets-onnx").temporal == "transformer"


def test_errors_are_one_line(olmv: Any, here: Path) -> None:
    code, out, err = olmv("models", "export", "olmv-mimi", "-o", "out")
    assert (code, out) == (2, "")
    assert err == "olmv: no model is called 'olmv-mimi'; did you mean olmv-mini, olmv-lite?\n"
    (here / "file").write_text("")
    save_pretrained(tiny_model(), here / "model")
    code, _, err = olmv("models", "export", "model", "-o", "file/out")
    assert code == 2
    assert err.startswith("olmv: cannot write into the folder 'file/out'")
    assert err.count("\n") == 1


def _graphs(_: Any, folder: Path) -> Export:
    folder.mkdir(exist_ok=True)
    (folder / "export.json").write_text("{}")
    return Export(folder, ("export.json",), 0.0, 0.0, "rows")


def test_another_model_is_not_overwritten(olmv: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmv.models.export.onnx.export_onnx", _graphs)
    save_pretrained(tiny_model(), here / "pets", card="# Mine\n", description="mine")
    before = {path.name: path.read_bytes() for path in (here / "pets").iterdir()}
    code, _, err = olmv("models", "export", "olmv-mini", "-o", "pets")
    assert (code, err) == (
        2,
        "olmv: 'pets' is not empty; choose a new folder (--output)\n",
    )
    assert {path.name: path.read_bytes() for path in (here / "pets").iterdir()} == before
    # in its own folder it stays as it is, and the graphs come beside it
    assert olmv("models", "export", str(here / "pets"), "-o", "./pets", "-q") == (0, "", "")
    assert {path.name: path.read_bytes() for path in (here / "pets").iterdir()} == before | {"export.json": b"{}"}
    assert olmv("models", "export", str(here / "pets"), "-o", "out", "-q")[0] == 0
    assert json.loads((here / "out" / "config.json").read_text())["description"] == "exported from pets"
    assert (here / "out" / "README.md").read_text().startswith("# pets\n")
    assert str(here) not in "".join(path.read_text() for path in (here / "out").glob("*.[jm]*"))
    source = write_open_clip_folder(here / "source")
    names = sorted(path.name for path in source.iterdir())
    assert olmv("models", "export", f"local-dir:{source}", "-o", "source", "-q")[0] == 0
    assert sorted(path.name for path in source.iterdir()) == sorted([*names, "export.json"])
