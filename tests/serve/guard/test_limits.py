"""The limits, and what the guide says of them."""

from pathlib import Path

from olmv.serve.guard.limits import DEFAULT_LIMITS
from olmv.serve.guard.private_folder import SPARE
from olmv.serve.guard.session import GUESSES, GUESSES_S, UNGUESSABLE
from olmv.serve.options import ServeOptions


def test_the_guide_names_the_limits() -> None:
    limits = DEFAULT_LIMITS
    text = " ".join((Path(__file__).parents[3] / "docs" / "guides" / "deploy.md").read_text("utf-8").split())
    for line in (
        f"| JSON | {limits.json_bytes >> 20} MB | 413 |",
        f"| JSON of `/v1/rows` | {limits.rows_bytes >> 20} MB; one is parsed at a time | 413 |",
        f"{limits.upload_bytes >> 20} MB; {limits.files} files, {limits.field_bytes >> 20} MB of fields | 413 |",
        f"| headers, address | {limits.head_bytes >> 10} KB | 431, 414 |",
        f"must be there in {limits.head_s:g} s |",
        f"{limits.idle_s:g} s without a byte, or less than {limits.bytes_s / 1024:g} KB a second | 408 |",
        f"| an answer that is not read | {limits.write_s:g} s |",
        f"| connections | {limits.connections};",
        f"{SPARE >> 20} MB are left to others",
        f"{limits.download_s / 60:g} min, {limits.idle_s:g} s of silence |",
        f"fewer than {UNGUESSABLE} characters",
    ):
        assert line in text, line
    http = (Path(__file__).parents[3] / "docs" / "guides" / "http.md").read_text("utf-8")
    assert f"{limits.json_bytes >> 20} MB of JSON ({limits.rows_bytes >> 20} MB of `/v1/rows`)" in http
    assert (GUESSES, GUESSES_S) == (10, 60.0)  # "ten wrong ones in a minute"
    assert ServeOptions.max_upload_mb << 20 == limits.upload_bytes
