"""Checkpoints of others become our folders: every weight where it belongs, every doubt an error."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from olmv.errors import InputError, ModelError, OutputError, UsageError
from olmv.models.convert.convert import convert
from olmv.models.xclip.model import XClipModel, authors_preprocess
from tests.models.published import AUTHORS_XCLIP, clip_state, loaded, write_authors_xclip, write_hf_xclip, write_swa
from tests.models.weights import equal
from tests.models.xclip_folders import SPOKEN
from tests.models.xclips import our_xclip


@pytest.mark.parametrize(("prefix", "zipped"), [("", True), ("module.", True), ("", False)])
def test_x_clip_of_its_authors(tmp_path: Path, prefix: str, zipped: bool) -> None:
    path, model = write_authors_xclip(tmp_path / "k400_32_8.pth", prefix=prefix, zipped=zipped)
    done = convert(path, tmp_path / "out")
    found = loaded(tmp_path / "out")
    assert isinstance(found, XClipModel)
    assert found.xclip.config == AUTHORS_XCLIP
    assert equal(dict(found.xclip.state_dict()), dict(model.state_dict()))
    assert found.preprocess == authors_preprocess(24)
    assert (done.kind, done.ratio, done.frames) == ("X-CLIP of its authors", None, AUTHORS_XCLIP.frames)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "arXiv 2208.02816" in card
    assert "--views xclip" in card
    assert f"Made for {AUTHORS_XCLIP.frames} frames" in card


@pytest.mark.parametrize("pickled", [False, True])
def test_x_clip_of_hugging_face(tmp_path: Path, pickled: bool) -> None:
    size = {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}, "resample": 3}
    done = convert(write_hf_xclip(tmp_path / "hf", pickled=pickled, preprocessor=size), tmp_path / "out")
    found = loaded(tmp_path / "out")
    assert found.xclip.config == SPOKEN
    assert equal(dict(found.xclip.state_dict()), dict(our_xclip(SPOKEN).state_dict()))
    assert (found.preprocess.size, found.preprocess.crop_ratio) == (32, 0.8)
    assert found.preprocess.interpolation == "bicubic"
    assert (done.kind, done.frames) == ("X-CLIP of Hugging Face", SPOKEN.frames)


def test_x_clip_is_not_patched(tmp_path: Path) -> None:
    path, _ = write_authors_xclip(tmp_path / "x.pth")
    with pytest.raises(
        UsageError, match=r"x.pth is an X-CLIP of its authors, which is not patched .*; leave out the rat"
    ):
        convert(path, tmp_path / "out", ratio=0.5)
    with pytest.raises(UsageError, match="not patched with an original; leave out the ratio and the original"):
        convert(path, tmp_path / "out", original="x")


def test_x_clip_needs_its_config(tmp_path: Path) -> None:
    path = write_hf_xclip(tmp_path / "hf")
    unread = r"config\.json cannot be read: .*; get it again"
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    for text, message in (("[]", "holds a list in place of an object; get it again"), ("{", unread), (deep, unread)):
        path.with_name("config.json").write_text(text)
        with pytest.raises(ModelError, match=message):
            convert(path, tmp_path / "out")
    path.with_name("config.json").unlink()
    with pytest.raises(ModelError, match=r"has no config.json beside it, which says its sizes; get that file"):
        convert(path, tmp_path / "out")


def test_x_clip_with_broken_tensors(tmp_path: Path) -> None:
    path, _ = write_authors_xclip(tmp_path / "x.pth")
    state = {"mit.positional_embedding": torch.full((1, 5, 3), float("nan"))}
    torch.save({"model": state}, path)
    with pytest.raises(ModelError, match=r"x.pth: 1 tensors have values that are no finite numbers: 'mit.pos"):
        convert(path, tmp_path / "out")
    twice = {"mit.positional_embedding": torch.ones(1, 5, 3), "module.mit.positional_embedding": torch.ones(1, 5, 3)}
    torch.save({"model": twice}, path)
    with pytest.raises(ModelError, match=r"has weights twice, with and without 'module.'; give the authors' own file"):
        convert(path, tmp_path / "out")
    torch.save({"model": {"mit.positional_embedding": torch.ones(1, 5, 3)}}, path)
    with pytest.raises(ModelError, match=r"not an X-CLIP of its authors: no tensor 'visual.conv1.weight'"):
        convert(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, r"no checkpoint that olmv knows \(its names begin nowhere: it is empty\); olmv converts Open-VCLIP"),
        ({"state_dict": {}, "epoch": 1}, r"\(its names begin 'state_dict', 'epoch'\); olmv converts Open-VCLIP"),
        ({"model": {"fc.weight": 1, "fc.bias": 2}}, r"\(its names begin 'fc.weight', 'fc.bias'\)"),
        ({"model_state": {1: 2}, "epoch": 3}, r"\(its names begin '1'\)"),
        (
            {"model_state": {"visual.conv1.weight": 1}},
            r"looks like a training checkpoint of a CLIP, but its names do not begin with 'model.' as Open-VCLIP's do",
        ),
        ({"visual.conv1.weight": 1}, r"looks like the weights of a CLIP on pictures .*, which need no converting: put"),
        ({"module.visual.conv1.weight": 1}, r"looks like the weights of a CLIP on pictures"),
    ],
)
def test_other_checkpoints(tmp_path: Path, content: dict[Any, Any], message: str) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(ModelError, match=message):
        convert(tmp_path / "x.pth", tmp_path / "out")


def test_only_into_a_new_folder(tmp_path: Path) -> None:
    swa = write_swa(tmp_path / "swa_2_22.pth", clip_state())
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file' is a file; choose a new folder$"):
        convert(swa, tmp_path / "file", ratio=0)
    with pytest.raises(OutputError, match=r"' is not empty; choose a new folder$"):
        convert(swa, tmp_path, ratio=0)
    with pytest.raises(OutputError, match=r"cannot use the folder '.*': File name too long; choose another$"):
        convert(swa, tmp_path / ("x" * 300), ratio=0)
    (tmp_path / "empty").mkdir()
    convert(swa, tmp_path / "empty", ratio=0)
    assert (tmp_path / "empty" / "config.json").is_file()


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize(
    ("what", "raised", "told"),
    [
        (
            "safetensors.torch.save_file",
            SafetensorError("I/O error: File too large"),
            r"out/model.safetensors' \(.*too large\); make room, or choo",
        ),
        ("olmv.models.storage.saving._write_labels", KeyboardInterrupt("stop"), "stop"),
        (
            "pathlib.Path.replace",  # of the files of a folder that is there
            OSError(28, "No space left on device"),
            r"out' \(.*No space left on device\); choose another|cannot write .*out: the disk is full",
        ),
    ],
)
def test_the_whole_model_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool, what: str, raised: BaseException, told: str
) -> None:
    swa = write_swa(tmp_path / "swa.pth", clip_state())
    if there:
        (tmp_path / "out").mkdir()

    real = Path.replace

    def fails(*arguments: Any, **_: Any) -> Any:
        if what.endswith("replace") and tmp_path / "out" not in (arguments[1], arguments[1].parent):
            return real(*arguments)
        raise raised

    with monkeypatch.context() as patched:
        patched.setattr(what, fails)
        if not there and what.endswith("replace"):
            patched.setattr("pathlib.Path.rename", fails)  # of a new folder
        with pytest.raises((OutputError, KeyboardInterrupt), match=told):
            convert(swa, tmp_path / "out", ratio=0)
    assert [path.name for path in tmp_path.iterdir() if path.name != "out"] == ["swa.pth"]
    assert (tmp_path / "out").exists() == there
    convert(swa, tmp_path / "out", ratio=0)
    assert loaded(tmp_path / "out").embed_dim == clip_state()["text_projection"].shape[1]
    assert not list((tmp_path / "out").glob(".*"))


def test_the_last_step_of_a_new_folder(tmp_path: Path) -> None:
    swa = write_swa(tmp_path / "swa.pth", clip_state())
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(OutputError, match=r"cannot write .*link: part of its path is a file; choose another path"):
        convert(swa, tmp_path / "link", ratio=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "swa.pth"]


def test_a_missing_file_is_told_first(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*swa.pth: No such file or directory"):
        convert(tmp_path / "swa.pth", tmp_path / "out")
