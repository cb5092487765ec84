"""What may be watched."""

import os
from pathlib import Path

import pytest

from olmv.errors import InputError, UsageError
from olmv.watch.sources import Source, check_url, is_private, parse_source, without_login


def test_sources_by_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.ts").touch()
    Path("odd:name.ts").touch()
    os.mkfifo("pipe")
    assert parse_source("a.ts") == Source("file", "a.ts", "a.ts")
    assert parse_source("odd:name.ts").kind == "file"
    assert parse_source("pipe").kind == "pipe"
    assert parse_source("-") == Source("pipe", "-", "standard input")
    assert parse_source("RTSP://cam/1").kind == "rtsp"
    assert parse_source("https://host/live.m3u8").kind == "http"


def test_a_login_is_never_shown() -> None:
    source = parse_source("rtsp://me:secret@cam:8554/1?channel=2#x")
    assert source.location == "rtsp://me:secret@cam:8554/1?channel=2#x"
    assert source.name == "rtsp://cam:8554/1?channel=2"
    assert without_login(check_url("http://me@host/x", "it")) == "http://host/x"


@pytest.mark.parametrize(
    "text",
    ["file:///etc/passwd", "concat:a.ts|b.ts", "udp://239.0.0.1:1234", "gopher://x", "data:video/mp4,x", "pipe:0"],
)
def test_other_protocols_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not read; name an rtsp, rtsps, http or https address"):
        parse_source(text)


@pytest.mark.parametrize(
    "text", ["http://", "http:///x", "rtsp://h:99999/", "http://h:0/", "http://a b/", "http://[::1/"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="the source is no address that can be used"):
        parse_source(text)


def test_paths_that_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be watched"):
        parse_source(str(tmp_path / "none.ts"))
    with pytest.raises(InputError, match="is a folder; name the one file in it"):
        parse_source(str(tmp_path))
    with pytest.raises(InputError, match="is no video camera and no file"):
        parse_source("/dev/zero")
    with pytest.raises(InputError, match="cannot be watched"):
        parse_source("a\0b")


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("192.168.0.9", True),
        ("169.254.169.254", True),
        ("100.64.0.1", True),
        ("0.0.0.0", True),
        ("224.0.0.1", True),
        ("::1", True),
        ("fe80::1%eth0", True),
        ("fd00::1", True),
        ("::ffff:127.0.0.1", True),
        ("2002:7f00:1::", True),
        ("64:ff9b::7f00:1", True),
        ("64:ff9b:1::7f00:1", True),
        ("::127.0.0.1", True),
        ("::ffff:0:127.0.0.1", True),
        ("fec0::1", True),
        ("3fff::1", True),
        ("8.8.8.8", False),
        ("2606:4700::1111", False),
        ("64:ff9b::808:808", False),
    ],
)
def test_private_addresses(address: str, private: bool) -> None:
    assert is_private(address) is private
