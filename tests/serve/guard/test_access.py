"""Who may ask: tokens, cookies, names and sites."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.types import ASGIApp, Message

from olmv.errors import UsageError
from olmv.serve.guard.access import AccessGuard
from olmv.serve.guard.layers import guarded
from olmv.serve.guard.session import Sessions, allowed_hosts, choose_token, is_loopback, page_address
from tests.serve.guard.asgi import Reply, ask, echo

TOKEN = "correct-horse"
LONG = "k" * 43


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def log_in(app: ASGIApp, token: object, headers: Mapping[str, str] = {}, **scope: Any) -> Reply:
    body = json.dumps({"token": token}).encode()
    return ask(app, "POST", "/v1/session", {"Content-Type": "application/json", **headers}, body, **scope)


@pytest.fixture
def app() -> ASGIApp:
    return AccessGuard(echo, TOKEN, None)


@pytest.mark.parametrize("path", ["/", "/assets/app.css", "/favicon.ico", "/favicon.svg", "/healthz", "/readyz"])
def test_the_page_and_the_health_need_no_token(app: ASGIApp, path: str) -> None:
    assert ask(app, "GET", path).status == 200
    assert ask(app, "HEAD", path).status == 200
    assert ask(app, "POST", path).status == 401


@pytest.mark.parametrize(
    "path",
    [
        "/v1/predict",
        "/metrics",
        "/openapi.json",
        "/assets",
        "/assets/../v1/labels",
        "//",
        "/v1/session/",
        "/V1/session",
        "/healthz/",
        "",
    ],
)
def test_all_else_needs_the_token(app: ASGIApp, path: str) -> None:
    reply = ask(app, "GET", path)
    assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
    assert reply.error == {
        "type": "unauthorized",
        "message": "the token is missing or wrong; open the address that the service printed, "
        "or send it as a bearer token",
    }
    assert ask(app, "GET", path, bearer(TOKEN)).status == 200


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Bearer correct-hors", "Bearer correct-horsee", "Basic correct-horse", TOKEN, "Bearer tökén"],
)
def test_a_wrong_token_is_none(app: ASGIApp, header: str) -> None:
    assert ask(app, "GET", "/v1/labels", {"Authorization": header}).status == 401


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_token_may_have_letters_beyond_ascii(encoding: str) -> None:
    app = AccessGuard(echo, "schlüsselwörter", None)
    header = [(b"authorization", b"bearer " + "schlüsselwörter".encode(encoding))]
    assert ask(app, "GET", "/v1/labels", raw_headers=header).status == 200
    assert log_in(app, "schlüsselwörter").status == 204
    assert ask(AccessGuard(echo, "ключ-ключ", None), "GET", "/v1/x", bearer("ключ-ключ")).status == 200


def test_the_token_is_exchanged_for_a_cookie(app: ASGIApp) -> None:
    reply = log_in(app, TOKEN)
    assert reply.status == 204
    cookie, *rest = reply.headers["set-cookie"].split("; ")
    assert sorted(map(str.lower, rest)) == ["httponly", "path=/", "samesite=strict"]
    assert TOKEN not in cookie
    assert ask(app, "GET", "/v1/labels", {"Cookie": cookie}).status == 200
    assert ask(app, "GET", "/v1/labels", {"Cookie": f"a=b; olmv_session=old; {cookie}; c"}).status == 200
    name, _, value = cookie.partition("=")
    assert name.startswith("olmv_session_")
    for wrong in (f"{name}={value[:-1]}", f"{name}=", f"other={value}", f"{name}={TOKEN}", f"{name}=ü"):
        assert ask(app, "GET", "/v1/labels", {"Cookie": wrong}).status == 401
    # another process has another key
    assert ask(AccessGuard(echo, TOKEN, None), "GET", "/v1/labels", {"Cookie": cookie}).status == 401


@pytest.mark.parametrize(
    ("host", "scheme", "port"),
    [
        ("box:8080", "http", 8080),
        ("box:8081", "http", 8081),
        ("[::1]:99", "http", 99),
        ("box", "http", 80),
        ("box", "https", 443),
        ("box:notaport", "http", 80),
    ],
)
def test_each_port_of_a_host_has_a_cookie_of_its_own(host: str, scheme: str, port: int) -> None:
    one, other = AccessGuard(echo, TOKEN, None), AccessGuard(echo, TOKEN, None)
    cookie = log_in(one, TOKEN, {"Host": host}, scheme=scheme).headers["set-cookie"].partition(";")[0]
    assert cookie.partition("=")[0] == f"olmv_session_{port}"
    others = log_in(other, TOKEN, {"Host": "box:7"}).headers["set-cookie"].partition(";")[0]
    for app in (one, other):  # a browser sends both to both
        assert ask(app, "GET", "/v1/labels", {"Host": host, "Cookie": f"{others}; {cookie}"}).status == 200


def test_the_cookie_goes_over_tls_only_where_the_page_came_so(app: ASGIApp) -> None:
    assert "secure" in log_in(app, TOKEN, scheme="https").headers["set-cookie"].lower()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"token": 3}', b'"x"', b"\xff", b"[" * 5000])
def test_a_session_wants_a_token(app: ASGIApp, body: bytes) -> None:
    reply = ask(app, "POST", "/v1/session", body=body)
    assert reply.status == 400
    assert reply.error["message"] == 'the token is asked for; send it as JSON: {"token": "..."}'


def test_a_session_takes_no_large_body_and_no_half_one(app: ASGIApp) -> None:
    assert ask(app, "POST", "/v1/session", body=[b"x" * 5000, b"x" * 5000]).error["message"] == (
        "the body is too large; send the token alone"
    )
    assert ask(app, "POST", "/v1/session", body=[]).error["message"] == "the request broke off; send it again"


@pytest.mark.parametrize("token", ["wrong", "", "\ud800", TOKEN + "\0"])
def test_a_session_refuses_a_wrong_token(app: ASGIApp, token: str) -> None:
    reply = log_in(app, token)
    assert (reply.status, "set-cookie" in reply.headers) == (401, False)
    assert reply.error["message"] == "the token is wrong; take it from the address that the service printed"


def test_without_a_token_all_is_open() -> None:
    app = AccessGuard(echo, None, None)
    assert ask(app, "GET", "/v1/labels").status == 200
    reply = log_in(app, "any")
    assert (reply.status, "set-cookie" in reply.headers) == (204, False)


def test_guessing_is_slowed_down(app: ASGIApp) -> None:
    for number in range(10):
        wrong = log_in(app, f"guess{number}") if number % 2 else ask(app, "GET", "/v1/x", bearer(f"guess{number}"))
        assert wrong.status == 401
    for reply in (log_in(app, TOKEN), log_in(app, "guess"), ask(app, "GET", "/v1/x", bearer(TOKEN))):
        assert (reply.status, reply.error["type"]) == (429, "too_many_requests")
        assert 50 <= int(reply.headers["retry-after"]) <= 60
        assert f"try again in {reply.headers['retry-after']} s" in reply.error["message"]
    assert ask(app, "GET", "/").status == 200
    assert ask(app, "GET", "/v1/labels").status == 401


def test_guesses_of_others_do_not_end_a_session(app: ASGIApp) -> None:
    cookie = log_in(app, TOKEN).headers["set-cookie"].partition(";")[0]
    for _ in range(12):
        log_in(app, "guess")
    assert ask(app, "GET", "/v1/labels", {"Cookie": cookie}).status == 200


def test_a_token_that_nobody_can_guess_is_always_looked_at() -> None:
    app = AccessGuard(echo, LONG, None)
    for _ in range(12):
        assert log_in(app, "guess").status == 401
    assert log_in(app, LONG).status == 204


def test_wrong_tokens_are_forgotten_after_a_minute() -> None:
    now = [100.0]
    sessions = Sessions(TOKEN, clock=lambda: now[0])
    for _ in range(10):
        assert sessions.wait_s() == 0.0
        assert not sessions.is_token(b"x")
        now[0] += 1
    assert sessions.wait_s() == 50.0
    now[0] += 50
    assert sessions.wait_s() == 0.0


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "localhost.", "127.0.0.2:1"]
)
def test_the_service_answers_to_its_names(host: str) -> None:
    app = AccessGuard(echo, None, allowed_hosts("127.0.0.2", None))
    assert ask(app, "GET", "/", {"Host": host}).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8080",
        "",
        "[::2]",
        "[",
        "localhost:x",
        "10.0.0.1",
    ],
)
def test_a_name_that_leads_here_by_a_trick_is_refused(host: str) -> None:
    app = AccessGuard(echo, None, allowed_hosts("127.0.0.1", None))
    for path in ("/", "/v1/labels", "/healthz"):
        reply = ask(app, "GET", path, {"Host": host})
        assert reply.status == 403
        assert reply.error["message"] == "it is not served under this name; ask for localhost"


def test_names_are_checked_where_nothing_else_protects() -> None:
    assert allowed_hosts("localhost", None) == ("localhost", "127.0.0.1", "::1", "localhost")
    assert allowed_hosts("localhost", TOKEN) is None
    assert allowed_hosts("0.0.0.0", TOKEN) is None


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8080", "localhost:8080"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("https://olmv.example.org", "olmv.example.org"),
        ("https://olmv.example.org", "olmv.example.org:443"),
        ("https://OLMV.example.org:8443", "olmv.example.org:8443"),
    ],
)
def test_the_page_itself_may_change_things(origin: str, host: str) -> None:
    app = AccessGuard(echo, None, None)
    assert ask(app, "POST", "/v1/x", {"Origin": origin, "Host": host, "Sec-Fetch-Site": "same-origin"}).status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "",
        "http://localhost:3000",
        "http://localhost",
        "http://localhost:8080.evil.example",
        "http://localhost:8080@evil.example",
        "file://localhost:8080",
        "http://[",
        "chrome-extension://localhost:8080",
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_another_site_may_change_nothing(origin: str, method: str) -> None:
    app = AccessGuard(echo, None, None)
    for path in ("/v1/x", "/v1/session", "/"):
        reply = ask(app, method, path, {"Origin": origin, "Host": "localhost:8080"})
        assert reply.status == 403
        assert reply.error["message"] == "another site may not ask; open the page of this service"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_may_link_to_the_page_and_fetch_nothing_else(site: str) -> None:
    app = AccessGuard(echo, None, None)
    headers = {"Host": "localhost:8080", "Sec-Fetch-Site": site}
    assert ask(app, "GET", "/", headers).status == 200
    assert ask(app, "GET", "/v1/picture", headers).status == 403
    assert ask(app, "POST", "/v1/predict", headers).status == 403
    assert ask(app, "GET", "/v1/picture", {**headers, "Sec-Fetch-Site": "none"}).status == 200


def test_no_other_site_is_allowed_to_read() -> None:
    reply = ask(AccessGuard(echo, TOKEN, None), "OPTIONS", "/v1/x", {"Origin": "http://evil.example"})
    assert reply.status == 401
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_websockets_are_hung_up_and_the_lifespan_passes() -> None:
    sent: list[Message] = []

    async def run() -> None:
        async def receive() -> Message:
            return {}

        async def send(message: Message) -> None:
            sent.append(message)

        app = guarded(echo, token=TOKEN, hosts=None)
        await app({"type": "websocket", "path": "/", "headers": []}, receive, send)
        await app({"type": "lifespan"}, receive, send)

    asyncio.run(run())
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_every_answer_has_the_headers() -> None:
    app = guarded(echo, token=TOKEN, hosts=None)
    answers = [
        ask(app, "GET", "/"),
        ask(app, "GET", "/v1/labels"),
        ask(app, "POST", "/v1/x", {"Content-Type": "text/plain"}, b"x"),
        ask(app, "GET", "/v1/x", bearer(TOKEN)),
    ]
    assert [reply.status for reply in answers] == [200, 401, 415, 200]
    for reply in answers:
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"
    assert [reply.headers["cache-control"] for reply in answers] == ["no-cache", "no-store", "no-store", "no-store"]


def test_a_token_is_chosen_beyond_this_machine() -> None:
    for host in ("localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]", "LocalHost."):
        assert choose_token(host, None) is None
    tokens = {
        choose_token(host, None) for host in ("0.0.0.0", "::", "192.168.1.5", "box", "", "127.0.0.1.evil.example")
    }
    assert len(tokens) == 6
    assert all(token and len(token) >= 43 for token in tokens)
    assert choose_token("0.0.0.0", TOKEN) == choose_token("localhost", TOKEN) == TOKEN


@pytest.mark.parametrize("token", ["", "short", "with a space in it", "line\nbreak in it", "x" * 1025, "\ud800" * 9])
def test_a_token_that_cannot_be_used_is_refused(token: str) -> None:
    with pytest.raises(UsageError, match="8 to 1024 characters and no spaces; make one: openssl rand -hex 24"):
        choose_token("localhost", token)


def test_the_address_carries_the_token_in_its_fragment() -> None:
    assert page_address("127.0.0.1", 8080, None) == "http://127.0.0.1:8080/"
    assert page_address("::1", 80, "a/b#c&ü") == "http://[::1]:80/#token=a%2Fb%23c%26%C3%BC"
    assert page_address("0.0.0.0", 8080, LONG) == f"http://127.0.0.1:8080/#token={LONG}"


def test_loopback_is_told_from_the_rest() -> None:
    assert is_loopback("::1%lo")
    assert not is_loopback("localhost.evil.example")
