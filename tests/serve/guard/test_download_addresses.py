"""Addresses that clients name: of the public internet only, at the very address that was looked at."""

from typing import Any

import pytest

from olmv.serve.guard import download
from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.guard.download import fetch
from olmv.serve.guard.private_folder import PrivateFolder
from tests.serve.guard.internet import LIMITS, PUBLIC, Internet, get, never, redirect, refuses
from tests.watch.servers import reply


def test_nothing_is_fetched_unless_it_is_allowed(folder: PrivateFolder) -> None:
    with pytest.raises(RefusedRequestError, match="no addresses are fetched here; send the file itself") as caught:
        fetch("http://videos.example/a.mp4", folder, None)
    assert caught.value.status_code == 403


BAD_ADDRESSES = [
    "file:///etc/passwd",
    "ftp://videos.example/a.mp4",
    "data:video/mp4;base64,AAAA",
    "gopher://videos.example/",
    "rtsp://videos.example/live",
    "//videos.example/a.mp4",
    "videos.example/a.mp4",
    "",
    "http://",
    "http:///a.mp4",
    "http://videos.example:99999/",
    "http://videos.example:0/",
    "http://[::1",
    "http://videos.example/a b",
    "http://videos.example/a\r\nX: y",
    "http://videos.example/\0",
    "http://videos.example/" + "x" * 5000,
]


@pytest.mark.parametrize("url", BAD_ADDRESSES)
def test_what_is_no_web_address_is_refused(internet: Internet, folder: PrivateFolder, url: str) -> None:
    with pytest.raises(
        RefusedRequestError, match="not fetched: it is no http or https address; name one of the"
    ) as caught:
        fetch(url, folder, LIMITS)
    assert caught.value.status_code == 403
    assert internet.reached == []


def test_logins_are_refused(internet: Internet, folder: PrivateFolder) -> None:
    for url in ("http://user:pass@videos.example/", "http://@videos.example/", "http://127.0.0.1@videos.example/"):
        refuses(internet, folder, never, 403, "not fetched: it has a login in it", url)


@pytest.mark.parametrize("port", [22, 25, 53, 445, 1023])
def test_ports_of_other_services_are_refused(internet: Internet, folder: PrivateFolder, port: int) -> None:
    refuses(internet, folder, never, 403, f"port {port} is not one of the web", f"http://videos.example:{port}/")


PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::1",
    "2002:a00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "5f00::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_refused(internet: Internet, folder: PrivateFolder, address: str) -> None:
    internet.names["inside.example"] = [address]
    internet.names["mixed.example"] = [PUBLIC, address]
    literal = f"[{address}]" if ":" in address else address
    message = "not fetched: it leads to a private address; name one of the public internet"
    for host in ("inside.example", "mixed.example", *([] if "%" in address else [literal])):
        with pytest.raises(RefusedRequestError, match=message):
            fetch(f"http://{host}/a.mp4", folder, LIMITS)
    assert internet.reached == []
    refuses(internet, folder, redirect("http://mixed.example:8080/"), 403, message)
    assert {address for address, _ in internet.reached} == {PUBLIC}


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "017700000001", "127.1", "localhost"])
def test_other_ways_to_write_this_machine_are_refused(folder: PrivateFolder, host: str) -> None:
    with pytest.raises(RefusedRequestError, match="it leads to a private address"):
        fetch(f"http://{host}/", folder, LIMITS)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:2800:21f::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_public_addresses_are_reached(internet: Internet, folder: PrivateFolder, address: str) -> None:
    internet.names["videos.example"] = [address]
    get(internet, folder, lambda handler: reply(handler, 200, b"x"))
    assert internet.reached == [(address, 80)]


def test_a_name_is_resolved_once(internet: Internet, folder: PrivateFolder) -> None:
    def rebinds(handler: Any) -> None:
        internet.names["videos.example"] = ["127.0.0.1"]
        reply(handler, 200, b"x")

    get(internet, folder, rebinds)
    assert (internet.asked, internet.reached) == (["videos.example"], [(PUBLIC, 80)])


def test_this_machine_is_refused_by_its_public_address_too(
    internet: Internet, folder: PrivateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(download, "_resolve", internet.resolve)
    monkeypatch.setattr(download, "_open", internet.open)
    refuses(internet, folder, never, 403, "not fetched: it leads to this machine")


def test_other_addresses_of_a_name_are_tried(internet: Internet, folder: PrivateFolder) -> None:
    internet.names["videos.example"] = ["93.0.0.1", "93.0.0.2"]
    internet.down = {"93.0.0.1"}
    get(internet, folder, lambda handler: reply(handler, 200, b"x"))
    assert internet.reached == [("93.0.0.1", 80), ("93.0.0.2", 80)]
    internet.names["videos.example"] = [f"93.0.0.{number}" for number in range(9)]
    internet.down, internet.reached = set(internet.names["videos.example"]), []
    refuses(internet, folder, never, 422, "cannot be fetched: it cannot be reached; check it, or send the file itself")
    assert len(internet.reached) == 4


def test_names_that_are_none_cannot_be_reached(internet: Internet, folder: PrivateFolder) -> None:
    for host in ("nowhere.invalid", "x" * 70 + ".example", "a..b"):
        refuses(internet, folder, never, 422, "it cannot be reached", f"http://{host}/")


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://videos.example/", "data:,x", "http://[", "http://[x]/"]
)
def test_redirects_lead_to_the_web(internet: Internet, folder: PrivateFolder, target: str) -> None:
    refuses(internet, folder, redirect(target), 403, "no http or https address")
