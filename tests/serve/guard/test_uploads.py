"""Forms with files: straight to private files, within limits, and gone when anything goes wrong."""

import asyncio
import resource
import stat
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.guard.limits import Limits
from olmv.serve.guard.multipart import display_name
from olmv.serve.guard.private_folder import PrivateFolder
from olmv.serve.guard.uploads import Uploads, disk_refusal, receive_uploads
from tests.serve.guard.asgi import GONE, ask
from tests.serve.guard.conftest import left

LIMITS = Limits(upload_bytes=100_000, files=3, fields=3, field_bytes=200)


def part(name: str, content: bytes, file_name: str | None = None, headers: str = "") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if file_name is not None:
        disposition += f'; filename="{file_name}"'
    return f"--edge\r\n{disposition}\r\n{headers}\r\n".encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--edge--\r\n"


def send(
    folder: PrivateFolder,
    body: bytes | list[bytes],
    kind: str = "multipart/form-data; boundary=edge",
    limits: Limits = LIMITS,
    length: int | None = None,
) -> Uploads:
    """Send a form to a handler that keeps what came."""
    kept: list[Uploads] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kept.append(await receive_uploads(Request(scope, receive), folder, limits))
        await PlainTextResponse("kept")(scope, receive, send)

    headers = {"Content-Type": kind} | ({} if length is None else {"Content-Length": str(length)})
    ask(app, "POST", "/v1/predict", headers, body)
    return kept[0]


def refused(folder: PrivateFolder, body: bytes | list[bytes], status: int, message: str, **more: object) -> None:
    with pytest.raises(RefusedRequestError, match=message) as caught:
        send(folder, body, **more)  # type: ignore[arg-type]
    assert caught.value.status_code == status
    assert left(folder) == []


def test_files_and_fields_arrive(folder: PrivateFolder) -> None:
    body = form(
        part("labels", b"dog, guitar"),
        part("files", b"\x00\r\n--edg\r\n" * 3, "a clip.mp4", "Content-Type: video/mp4\r\n"),
        part("files", b"", "empty.mp4"),
        part("options", '{"mode": "größer"}'.encode()),
    )
    with send(folder, body) as uploads:
        assert uploads.fields == {"labels": "dog, guitar", "options": '{"mode": "größer"}'}
        assert [(file.name, file.size) for file in uploads.files] == [("a clip.mp4", 30), ("empty.mp4", 0)]
        first = uploads.files[0].path
        assert first.read_bytes() == b"\x00\r\n--edg\r\n" * 3
        assert stat.S_IMODE(first.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        assert (first.parent, len(first.name), "clip" in str(first)) == (folder.path, 32, False)
    assert left(folder) == []


def test_uploads_that_are_gone_already_are_no_matter(folder: PrivateFolder) -> None:
    uploads = send(folder, form(part("files", b"x", "a")))
    uploads.discard()
    uploads.discard()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300), cuts=st.lists(st.integers(1, 500), max_size=8))
def test_it_does_not_matter_how_a_form_is_cut(folder: PrivateFolder, content: bytes, cuts: list[int]) -> None:
    if b"\r\n--edge" in content:
        return
    whole = form(part("files", content, "a.mp4"), part("labels", b"dog"))
    ends = sorted({min(cut, len(whole)) for cut in cuts} | {len(whole)})
    pieces = [whole[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    with send(folder, pieces) as uploads:
        assert uploads.files[0].path.read_bytes() == content
        assert uploads.fields == {"labels": "dog"}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.lists(
        st.sampled_from(
            [
                b"--edge",
                b"--",
                b"\r\n",
                b"\n",
                b"Content-Disposition: ",
                b"form-data",
                b'; name="a"',
                b'; filename="b"',
                b":",
                b"x",
                b"\0",
            ]
        ),
        max_size=30,
    )
)
def test_no_form_leaves_anything_behind_or_fails_otherwise(folder: PrivateFolder, body: list[bytes]) -> None:
    with suppress(RefusedRequestError), send(folder, b"--edge" + b"".join(body)):
        pass
    assert left(folder) == []


def test_a_large_file_is_written_in_pieces(folder: PrivateFolder) -> None:
    whole = form(part("files", b"v" * 3_500_000, "long.mp4"))
    pieces = [whole[begin : begin + 65536] for begin in range(0, len(whole), 65536)]
    with send(folder, pieces, limits=Limits()) as uploads:
        assert uploads.files[0].size == uploads.files[0].path.stat().st_size == 3_500_000


@pytest.mark.parametrize("kind", ["application/json", "", "multipart/mixed; boundary=edge"])
def test_another_kind_of_body_is_refused(folder: PrivateFolder, kind: str) -> None:
    refused(folder, form(), 415, "a form with files is asked for; send it as multipart/form-data", kind=kind)


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "x" * 71, '; boundary=""'])
def test_a_form_without_a_boundary_is_refused(folder: PrivateFolder, boundary: str) -> None:
    kind = "multipart/form-data" + boundary
    refused(folder, form(), 400, "the boundary of the form is missing; name it in the content type", kind=kind)


@pytest.mark.parametrize(
    "body",
    [
        form(part("files", b"x", "a")).replace(b"--edge", b"--ridge"),
        b"no form at all",
        b"--edge\r\nno header\r\n\r\nx\r\n--edge--\r\n",
        b"--edge\r\n\r\nx\r\n--edge--\r\n",
        b"--edge\r\nContent-Disposition: form-data\r\n\r\nx\r\n--edge--\r\n",
        b'--edge\r\nContent-Disposition: attachment; name="a"\r\n\r\nx\r\n--edge--\r\n',
        part("a", b"x").replace(b"\r\n\r\n", b"\r\nX: " + b"y" * 9000 + b"\r\n\r\n"),
        part("a", b"x").replace(b"\r\n\r\n", b"\r\nX: y" * 50 + b"\r\n\r\n"),
    ],
)
def test_a_malformed_form_is_refused(folder: PrivateFolder, body: bytes) -> None:
    refused(folder, body, 400, "the form is malformed; send it as multipart/form-data")


@pytest.mark.parametrize("body", [b"", part("files", b"x" * 50, "a"), form(part("files", b"x", "a"))[:-8], b"--edge"])
def test_a_form_that_breaks_off_is_refused(folder: PrivateFolder, body: bytes) -> None:
    refused(folder, body, 400, "the form breaks off before its end; send it again")


def test_too_many_files_are_refused(folder: PrivateFolder) -> None:
    body = form(*(part("files", b"x", f"{number}") for number in range(4)))
    refused(folder, body, 413, "the form has more than 3 files; send fewer at once")
    assert len(send(folder, form(*(part("files", b"x", "a") for _ in range(3)))).files) == 3


def test_file_fields_in_which_nothing_was_chosen_are_left_out(folder: PrivateFolder) -> None:
    assert send(folder, form(part("files", b"", ""))).files == ()
    assert left(folder) == []
    refused(folder, form(*(part("files", b"", "") for _ in range(4))), 413, "the form has more than 3 files")


def test_too_many_fields_are_refused(folder: PrivateFolder) -> None:
    body = form(*(part(f"field{number}", b"x") for number in range(4)), part("files", b"x", "a"))
    refused(folder, body, 413, "the form has more than 3 fields; send fewer")


def test_fields_that_are_too_long_are_refused(folder: PrivateFolder) -> None:
    for body in (
        form(part("a", b"x" * 201)),
        form(part("a", b"x" * 150), part("b", b"x" * 60)),
        form(part("n" * 201, b"")),
    ):
        refused(folder, form(part("files", b"x", "a")).removesuffix(b"--edge--\r\n") + body, 413, "more than 200 bytes")


def test_a_field_is_sent_once(folder: PrivateFolder) -> None:
    refused(folder, form(part("a", b"1"), part("a", b"2")), 400, "the field 'a' is there twice; send it once")


@pytest.mark.parametrize("body", [form(part("a", b"\xff")), form(part("a", b"x").replace(b'"a"', b'"\xff"'))])
def test_fields_are_utf8(folder: PrivateFolder, body: bytes) -> None:
    refused(folder, body, 400, "a field of the form is not UTF-8; send it as UTF-8")


def test_encoded_parts_are_refused(folder: PrivateFolder) -> None:
    body = form(part("files", b"eHg=", "a", "Content-Transfer-Encoding: base64\r\n"))
    refused(folder, body, 415, "a part of the form is encoded; send it as it is")


def test_the_size_is_counted_without_a_guard_too(folder: PrivateFolder) -> None:
    whole = form(part("files", b"x" * 100_000, "a"))
    refused(folder, [whole[:60_000], whole[60_000:]], 413, "the body is too large; send less at once")


def test_a_client_that_goes_away_leaves_nothing(folder: PrivateFolder) -> None:
    with pytest.raises(ClientDisconnect):
        send(folder, [part("files", b"x" * 50, "a"), part("files", b"y" * 50, "b"), GONE])
    assert left(folder) == []


def test_a_request_that_is_cancelled_leaves_nothing(folder: PrivateFolder) -> None:
    async def run() -> None:
        begun = asyncio.Event()

        async def receive() -> Message:
            if begun.is_set():
                await asyncio.Event().wait()
            begun.set()
            return {"type": "http.request", "body": part("files", b"x" * 2_000_000, "a"), "more_body": True}

        headers = [(b"content-type", b"multipart/form-data; boundary=edge")]
        request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
        task = asyncio.create_task(receive_uploads(request, folder, Limits()))
        while not left(folder):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert left(folder) == []


def test_a_full_disk_is_told_and_leaves_nothing(folder: PrivateFolder) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        refused(
            folder,
            form(part("files", b"first", "a"), part("files", b"x" * 50_000, "b")),
            507,
            "the disk of this service is full; send less, or tell who runs it to make room",
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_room_is_told_before_anything_comes(
    folder: PrivateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = form(part("files", b"x" * 2_000_000, "a"))
    monkeypatch.setattr(PrivateFolder, "room_bytes", lambda self: 1_000_000)
    refused(folder, [GONE], 507, "the disk of this service is full", length=1_500_000)
    # without a length it shows while it comes
    refused(folder, [body], 507, "the disk of this service is full", limits=Limits())
    monkeypatch.setattr(PrivateFolder, "room_bytes", lambda self: 3_000_000)
    assert send(folder, [body], limits=Limits()).files[0].size == 2_000_000


def test_other_faults_of_the_disk_tell_no_paths(folder: PrivateFolder) -> None:
    folder.close()
    with pytest.raises(RefusedRequestError, match=r"^the file cannot be stored here; tell who runs this service$"):
        send(folder, form(part("files", b"x", "a")))
    assert disk_refusal(OSError(28, "full")).status_code == 507


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("clip.mp4", "clip.mp4"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\clip.mp4", "clip.mp4"),
        ("/", "upload"),
        ("", "upload"),
        ("\0\r\n\x1b[31m", "[31m"),
        ("gpj.\u202e4pm", "gpj.4pm"),
        ("a\u2028b\u200b.mp4", "ab.mp4"),
        ("  a  b  ", "a b"),
        ("Cafe\u0301.mp4", "Café.mp4"),
        ("\ud800x", "x"),
        ("日本.mp4", "日本.mp4"),
    ],
)
def test_names_are_made_harmless(name: str, shown: str) -> None:
    assert display_name(name) == shown


@given(st.text())
def test_every_name_is_one_short_line(name: str) -> None:
    shown = display_name(name)
    assert 1 <= len(shown) <= 200
    assert "/" not in shown
    assert len(shown.splitlines()) == 1


def test_long_names_keep_their_ending() -> None:
    assert display_name("x" * 300 + ".mp4") == "x" * 195 + "….mp4"
    assert display_name("x" * 300) == "x" * 199 + "…"
