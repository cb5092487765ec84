"""Weight files of others: what is in them is never run, and what is wrong with them is said."""

import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from olmv.errors import InputError, ModelError, OlmvError
from olmv.models.storage.checkpoints import check_tensors, named, read_checkpoint, sha256_of
from tests.models.published import CfgNode, yacs


class Runs:
    """Unpickled by Python itself, makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


class Touches(Runs):
    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def saved(path: Path, content: Any, *, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


WEIGHTS: dict[str, Any] = {"model_state": {"a": torch.arange(6.0).view(2, 3)}, "epoch": 3, "cfg": "text", "none": None}


@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_of_torch(tmp_path: Path, zipped: bool) -> None:
    read = read_checkpoint(saved(tmp_path / "any.name", WEIGHTS, zipped=zipped))
    assert torch.equal(read["model_state"]["a"], WEIGHTS["model_state"]["a"])
    assert (read["epoch"], read["cfg"], read["none"]) == (3, "text", None)


def test_safetensors(tmp_path: Path) -> None:
    save_file({"a": torch.arange(5)}, tmp_path / "weights.bin")
    assert torch.equal(read_checkpoint(tmp_path / "weights.bin")["a"], torch.arange(5))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_config_of_yacs_becomes_plain_data(tmp_path: Path, zipped: bool) -> None:
    with yacs():
        config = CfgNode({"A": {"B": (1, (2.5, None)), "C": {}}, "D": [None, "x"], "E": True})
        path = saved(tmp_path / "x.pth", {"config": config}, zipped=zipped)
    read = read_checkpoint(path)["config"]
    assert read == {"A": {"B": (1, (2.5, None)), "C": {}}, "D": [None, "x"], "E": True}
    assert not isinstance(read, CfgNode)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(("kind", "what"), [(Runs, "posix.system"), (Touches, "io.open")])
def test_code_is_refused_by_name_and_not_run(tmp_path: Path, zipped: bool, kind: type[Runs], what: str) -> None:
    trace = tmp_path / "trace"
    path = saved(tmp_path / "x.pth", {"model_state": {}, "config": kind(trace)}, zipped=zipped)
    with pytest.raises(ModelError, match=rf"holds '{what}', which is code, not only weights; nothing of it was run"):
        read_checkpoint(path)
    assert not trace.exists()
    # the file does run code where it is let
    if zipped:
        with zipfile.ZipFile(path) as archive:
            pickle.loads(archive.read("x/data.pkl"))
    else:
        with path.open("rb") as file:
            for _ in range(4):  # three of torch's own stand before it
                pickle.load(file)
    assert trace.exists()


def test_other_classes_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pth", {"model": nn.Linear(1, 1)})
    with pytest.raises(ModelError, match=r"holds 'torch.nn.modules.linear.Linear', which is code"):
        read_checkpoint(path)


def test_opcodes_that_torch_does_not_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps({"a": 1}, protocol=4))
        archive.writestr("x/version", "3\n")
    with pytest.raises(ModelError, match="holds what could be code, not only weights"):
        read_checkpoint(path)


def test_a_pickle_of_somebody_else(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(Runs(trace)))
    with pytest.raises(ModelError, match=r"is a pickle that torch.save did not write, so it could hold code; give a"):
        read_checkpoint(tmp_path / "x.pkl")
    assert not trace.exists()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("content", [Runs(Path("x")), {}, {"a": 1}, [1], range(3)])
def test_a_pickle_of_any_protocol(tmp_path: Path, content: Any, protocol: int) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(ModelError, match=r"is a pickle that torch.save did not write, so it could hold code"):
        read_checkpoint(tmp_path / "x.pkl")


def rewritten(path: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """The archive with other records."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records.items():
            archive.writestr(name, change(name, data))
    return path


@pytest.mark.parametrize("size", [0, 400, 3999, 4001, 8000])
def test_a_record_of_another_size_than_its_tensor(tmp_path: Path, size: int) -> None:
    path = saved(tmp_path / "x.pth", {"a": torch.ones(1000), "b": torch.ones(1000)})
    rewritten(path, lambda name, data: (data * 2)[:size] if name.endswith("data/0") else data)
    with pytest.raises(ModelError, match=r"x.pth is damaged or cut off \(.*size.*\); download it again"):
        read_checkpoint(path)


def test_a_flipped_bit(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pth", {"a": torch.full((1000,), 7.0)})
    data = bytearray(path.read_bytes())
    data[data.find(b"\0\0\xe0@" * 50) + 100] ^= 8
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"damaged or cut off \(record 'x/data/0' does not have its checksum\); downl"):
        read_checkpoint(path)


def test_records_that_claim_more_than_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "x.pth", {"a": torch.ones(1000)})
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    monkeypatch.setattr(zipfile.ZipFile, "infolist", lambda _: members * 3)  # all of the same bytes
    with pytest.raises(ModelError, match=r"damaged .* \(its records claim more than there is\); download it again"):
        read_checkpoint(path)


def test_a_record_that_cannot_be_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pth", {"a": torch.ones(1000)})
    data = bytearray(path.read_bytes())
    data[data.find(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"damaged or cut off \(.*is encrypted, .*\); download it again"):
        read_checkpoint(path)


def test_torchscript_is_refused(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "ViT-B-16.pt"))  # type: ignore[no-untyped-call]
    with pytest.raises(ModelError, match=r"TorchScript archive, which holds code; .* give ViT-B-16-quickgelu/op"):
        read_checkpoint(tmp_path / "ViT-B-16.pt")


def test_other_zips(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pth", WEIGHTS)
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.write(path, "swa_2_22.pth")
    with pytest.raises(ModelError, match="a zip archive, but none of torch; unpack it"):
        read_checkpoint(tmp_path / "outer.zip")
    shutil.unpack_archive(path, tmp_path / "unpacked", "zip")
    with zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        for member in sorted((tmp_path / "unpacked").rglob("*")):
            if member.is_file():
                archive.write(member, member.relative_to(tmp_path / "unpacked"))
    with pytest.raises(ModelError, match="was packed again after torch had saved it"):
        read_checkpoint(tmp_path / "packed.pth")


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_a_file_that_is_cut_off(tmp_path: Path, kind: str, share: float) -> None:
    weights = {"a": torch.randn(500), "b": torch.randn(500)}
    path = tmp_path / "x"
    if kind == "safetensors":
        save_file(weights, path)
    else:
        saved(path, weights, zipped=kind == "zip")
    with pytest.raises(ModelError, match=r"x is damaged or cut off \(.+\); download it again"):
        read_checkpoint(cut(path, share))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; download it again"),
        (b"<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning", "is a web page and no checkpoint"),
        (
            b"\xef\xbb\xbf\n  <HTML lang=en>\xe9",
            r"web page .* Google Drive, .* to be confirmed; download it in a brows",
        ),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "only a pointer of Git LFS, .* git lfs pull"),
        (b"cos\nsystem\n(S'touch x'\ntR.", "a pickle that torch.save did not write, so it could hold code"),
        (b"cat\ndog\nquail\npony\n", r"text file \(it begins with 'cat\\ndog.*no checkpoint; downl"),
        ("é".encode() * 3000, r"is a text file \(it begins with '\\xe9"),
        (b"\x1f\x8b\x08\x00" + b"\x00" * 50, r"no checkpoint that olmv knows \(it begins with bytes 1f 8b 08 00\)"),
        (b"\xff\xfe\xfa", r"it begins with bytes ff fe fa\); give a file of torch.save"),
        (b"x" * 257 + b"ustar\x0000" + b"\0" * 200, "is a tar archive, as the first versions of torch wrote it"),
    ],
)
def test_files_of_other_kinds(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        read_checkpoint(tmp_path / "x.pth")
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*x.pth: No such file or directory; check the path"):
        read_checkpoint(tmp_path / "x.pth")
    with pytest.raises(InputError, match=r"is a folder; name the file of weights$"):
        read_checkpoint(tmp_path)
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(InputError, match=r"is a folder; name the file of weights, such as .*/pytorch_model.bin$"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(("content", "what"), [(torch.ones(2), "one tensor"), ([1, 2], "a list")])
def test_a_file_without_names(tmp_path: Path, content: Any, what: str) -> None:
    with pytest.raises(ModelError, match=f"holds {what} and no weights by name; give a checkpoint or a state dict"):
        read_checkpoint(saved(tmp_path / "x.pth", content))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.booleans(), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8))
def test_a_damaged_file_fails_in_our_words_or_not_at_all(
    tmp_path: Path, zipped: bool, bytes_: list[tuple[float, int]]
) -> None:
    path = saved(tmp_path / "x.pth", {"a": torch.arange(4.0)}, zipped=zipped)
    data = bytearray(path.read_bytes())
    for place, value in bytes_:
        data[int(place * len(data))] = value
    (tmp_path / "bad.pth").write_bytes(data)
    said = ""
    try:
        read_checkpoint(tmp_path / "bad.pth")
    except OlmvError as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: 3, r"x: 1 entries are no plain tensors: 'b \(a int\)'; give the file as its authors saved it"),
        (lambda: torch.ones(3, 3).to_sparse(), r"no plain tensors: 'b \(a special tensor\)'"),
        (lambda: torch.ones(3).to(torch.float8_e4m3fn), r"no plain tensors: 'b \(of float8_e4m3fn\)'; give the file"),
        (lambda: torch.ones(3, dtype=torch.complex64), r"no plain tensors: 'b \(of complex64\)'"),
        (lambda: torch.ones(1).expand(10**6), "x: 1 tensors are larger than their data: 'b'; give"),
        (lambda: torch.tensor([1.0, float("nan")]), "x: 1 tensors have values that are no finite numbers: 'b'; give"),
        (lambda: torch.tensor([1.0, -float("inf")]).half(), "no finite numbers: 'b'"),
    ],
)
def test_tensors_that_are_none(wrong: Callable[[], Any], message: str) -> None:
    check_tensors({"a": torch.ones(3), "c": torch.arange(4)}, "x")
    with pytest.raises(ModelError, match=message):
        check_tensors({"a": torch.ones(3), "b": wrong()}, "x")


def test_names_of_others_stay_on_one_line() -> None:
    assert named(["a\nb", "c" * 99, "d", "e", "f"]) == "'a\\nb', '" + "c" * 80 + "', 'd' and 2 more"
    assert named([]) == ""


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
