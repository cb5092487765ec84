"""What ships with olmv, its cache, texts that are read, and digests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from olmv.errors import UsageError, VocabularyError
from olmv.io import paths
from olmv.io.digests import sha256_json
from olmv.io.paths import cache_dir, read_text, share_dir, text_lines

REPO = Path(__file__).resolve().parents[2]


def test_share_dir_in_this_checkout() -> None:
    for name in ("prompts", "configs"):
        assert (share_dir(name) / "README.md").is_file()


def test_share_dir_refuses_other_folders() -> None:
    with pytest.raises(UsageError, match=r"ships no folder '../secret'; it ships prompts and configs"):
        share_dir("../secret")


def test_share_dir_takes_no_folder_of_a_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site_packages = tmp_path / "site-packages"
    (site_packages / "olmv").mkdir(parents=True)
    (site_packages / "configs").mkdir()
    monkeypatch.setattr(paths, "__file__", str(site_packages / "olmv" / "io" / "paths.py"))
    with pytest.raises(UsageError, match="lacks its folder 'configs'; reinstall"):
        share_dir("configs")


@pytest.mark.slow
def test_share_dir_in_a_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=REPO, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    target = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(target), str(wheel)], check=True)
    code = (
        "import olmv, olmv.io.paths; print(olmv.__file__); print(olmv.io.paths.share_dir('prompts'));"
        "print(olmv.io.paths.share_dir('configs'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    package, prompts, configs = map(Path, done.stdout.split())
    assert package.is_relative_to(target)
    assert prompts == target / "olmv" / "_share" / "prompts"
    for name, folder in (("prompts", prompts), ("configs", configs)):
        shipped = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        source = REPO / name
        assert shipped == {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
        assert shipped


def test_cache_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "cache"))
    assert cache_dir() == tmp_path / "cache"
    assert not cache_dir().exists()
    monkeypatch.delenv("OLMV_CACHE")
    assert cache_dir().name == "olmv"


def test_sha256_json_ignores_the_order_of_keys() -> None:
    assert sha256_json({"a": 1, "b": ["ü\udce9"]}) == sha256_json({"b": ["ü\udce9"], "a": 1})
    assert sha256_json([1, 2]) != sha256_json([2, 1])


def test_read_text(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes(b"\xef\xbb\xbfcaf\xc3\xa9\n")
    assert read_text(file) == "café\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"caf\xe9\n", r"not UTF-8 \(byte 0xe9 at offset 3\); save it as UTF-8, or convert it: iconv"),
        (b"\xef\xbb\xbfcaf\xe9\n", r"byte 0xe9 at offset 6"),
        ("dog\n".encode("utf-16"), "is UTF-16, not UTF-8; convert it: iconv -f UTF-16"),
    ],
)
def test_read_text_not_utf8(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes(data)
    with pytest.raises(VocabularyError, match=message):
        read_text(file, error=VocabularyError)


def test_read_text_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"no such file: .*nowhere"):
        read_text(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"cannot read .*: Is a directory"):
        read_text(tmp_path)
    monkeypatch.setattr(paths, "MAX_TEXT_BYTES", 1 << 20)
    (tmp_path / "film.mp4").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(UsageError, match="larger than 1 MiB; is it a text file"):
        read_text(tmp_path / "film.mp4")


def test_text_lines_keep_their_numbers(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\xef\xbb\xbfone\n\n  \ntwo")
    assert list(text_lines(file)) == [(1, "one\n"), (4, "two")]
