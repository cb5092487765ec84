"""Paths that clients name: under one folder, and nothing that leads out of it."""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olmv.errors import InputError
from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.guard.root import Root

MISSING = r"^no such file is served; name one relative to the folder of this service$"


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder `videos` to serve, with much that leads out of it, and a secret beside it."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name).resolve()
        videos = place / "videos"
        (videos / "sub").mkdir(parents=True)
        (place / "videos-private").mkdir()
        for file in ("a.mp4", "sub/b c.mp4", "日本\u202f.mp4", "../secret.mp4", "../videos-private/x.mp4"):
            (videos / file).write_bytes(b"x")
        Path(os.fsdecode(os.fsencode(videos) + b"/\xff.mp4")).write_bytes(b"x")
        (videos / "inner.mp4").symlink_to("sub/b c.mp4")
        (videos / "out.mp4").symlink_to("../secret.mp4")
        (videos / "out-absolute.mp4").symlink_to(place / "secret.mp4")
        (videos / "up").symlink_to("..")
        (videos / "sub" / "etc").symlink_to("/etc")
        (videos / "loop").symlink_to("loop")
        (videos / "dangling").symlink_to("nothing")
        (videos / "null").symlink_to("/dev/null")
        (videos / "back").symlink_to("../videos/sub")
        os.mkfifo(videos / "pipe")
        (place / "link").symlink_to("videos")
        yield place


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.mp4", "a.mp4"),
        ("./a.mp4", "a.mp4"),
        ("sub//b c.mp4", "sub/b c.mp4"),
        ("inner.mp4", "sub/b c.mp4"),
        ("back/b c.mp4", "sub/b c.mp4"),
        ("日本\u202f.mp4", "日本\u202f.mp4"),
        ("\udcff.mp4", "\udcff.mp4"),
    ],
)
def test_files_under_the_folder_are_found(place: Path, name: str, file: str) -> None:
    assert Root(place / "videos").resolve(name) == place / "videos" / file


def test_absolute_names_go_by_either_name_of_the_folder(place: Path) -> None:
    root = Root(place / "link")
    for name in ("link", "videos"):
        assert root.resolve(str(place / name / "a.mp4")) == place / "videos" / "a.mp4"


BAD = [
    "",
    ".",
    "/",
    "sub",
    "sub/",
    "nothing.mp4",
    "a.mp4/x",
    "../secret.mp4",
    "sub/../../secret.mp4",
    "sub/../a.mp4",
    "..",
    "out.mp4",
    "out-absolute.mp4",
    "up/secret.mp4",
    "up/videos/a.mp4/../../../secret.mp4",
    "sub/etc/passwd",
    "loop",
    "loop/a.mp4",
    "dangling",
    "null",
    "pipe",
    "socket",
    "a.mp4\0",
    "\0",
    "a.mp4\n",
    "\x1b[2J",
    "\ud800",
    "x" * 300,
    "x/" * 4000,
    "~/a.mp4",
    "$HOME",
    "%2e%2e/secret.mp4",
    "..\\secret.mp4",
    "/etc/passwd",
    "//etc/passwd",
    "/dev/zero",
    "/proc/self/environ",
    "file:///etc/passwd",
    "PLACE/secret.mp4",
    "PLACE/videos-private/x.mp4",
    "PLACE/videos",
    "PLACE/videos/../secret.mp4",
    "PLACE/videos/out.mp4",
]


@pytest.mark.parametrize("name", BAD)
def test_nothing_else_is_and_the_message_tells_nothing(place: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Root(place / "videos")
    monkeypatch.chdir(place / "videos")
    with listening("socket"), pytest.raises(RefusedRequestError, match=MISSING) as caught:
        root.resolve(name.replace("PLACE", str(place)))
    assert caught.value.status_code == 404
    assert caught.value.__cause__ is None


@contextmanager
def listening(name: str) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as file:
        file.bind(name)  # relative: such paths have 108 bytes at most
        try:
            yield
        finally:
            Path(name).unlink()


PIECES = st.sampled_from(
    [
        "..",
        ".",
        "/",
        "//",
        "sub",
        "a.mp4",
        "up",
        "back",
        "etc",
        "inner.mp4",
        "out.mp4",
        "videos",
        "secret.mp4",
        "\\",
        "~",
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PIECES, max_size=8), text=st.text(max_size=20), is_absolute=st.booleans())
def test_no_name_leads_out(place: Path, pieces: list[str], text: str, is_absolute: bool) -> None:
    root = Root(place / "videos")
    for name in ("/".join(pieces), "".join(pieces), text, text.join(pieces)):
        try:
            real = root.resolve(f"{place}/{name}" if is_absolute else name)
        except RefusedRequestError:
            continue
        assert real.is_file()
        assert not real.is_symlink()
        assert real.resolve().is_relative_to(place / "videos")


def test_without_a_folder_no_path_may_be_named() -> None:
    root = Root(None)
    assert root.path is None
    with pytest.raises(RefusedRequestError, match="no paths are read here; send the file itself") as caught:
        root.resolve("a.mp4")
    assert caught.value.status_code == 403


@pytest.mark.parametrize("name", ["nothing", "a.mp4", "loop", "a\0b"])
def test_only_a_folder_is_served(place: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"(cannot be served \(.+\)|is no folder); name a folder of videos") as caught:
        Root(place / "videos" / name)
    assert caught.value.options == ("root",)


def test_the_whole_disk_may_be_served() -> None:
    with tempfile.NamedTemporaryFile() as file:
        assert Root("/").resolve(file.name) == Path(file.name).resolve()
