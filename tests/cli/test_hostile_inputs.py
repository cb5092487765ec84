"""Files and options that no person would write: one line and exit code 2, before any work is done."""

from pathlib import Path
from typing import Any

import pytest

DEEP = "[" * 100_000
DIGITS = "9" * 5000
LONG = "a" * 300


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "m.csv",
            f'video\n"{"a" * 200_000}"\n',
            "is not valid csv (field larger than field limit (131072)); check its",
        ),
        ("m.jsonl", DEEP, "line 1 is not JSON (maximum recursion depth exceeded"),
        ("m.jsonl", f'{{"video": {DIGITS}}}\n', "line 1 is not JSON (Exceeds the limit (4300 digits)"),
        ("m.jsonl", '{"video": "\\ud800.mp4"}\n', r"row 1: '\ud800.mp4' can be no file name; correct that row"),
    ],
)
def test_manifests(olmv: Any, here: Path, model: str, name: str, content: str, message: str) -> None:
    (here / name).write_text(content)
    code, out, err = olmv("predict", name, "-l", "dog", "-m", model, "-o", "x.csv")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (here / "x.csv.journal.jsonl").exists()


@pytest.mark.parametrize("video", [f"{LONG}.mp4", "a\\u0000b.mp4"])
def test_a_name_that_cannot_be_costs_its_own_row(olmv: Any, here: Path, model: str, video: str) -> None:
    (here / "m.jsonl").write_text(f'{{"video": "{video}"}}\n{{"video": "clips/0.mp4"}}\n')
    code, out, _ = olmv("predict", "m.jsonl", "-l", "dog", "-m", model, "--workers", "0", "-q")
    assert code == 1
    bad, good = out.splitlines()
    assert "\terror: " in bad
    assert good.startswith("clips/0.mp4\t")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((f"{LONG}.mp4", "-l", "dog"), "File name too long (aaa"),
        (("clips", "-l", "a" * 200_000), "the list of labels cannot be read (field larger than field limit"),
        (("clips", "-l", LONG + ".txt"), "has 304 characters; keep it under 301"),
        (("clips", "-l", "dog", "-m", LONG), "File name too long (aaa"),
        (("clips", "-l", "dog", "-o", f"{LONG}.jsonl"), "the name is too long; choose a shorter one"),
    ],
)
def test_names(olmv: Any, here: Path, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = olmv("predict", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.splitlines()[-1].startswith("olmv: ")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://h:abc/v1", "Port could not be cast to integer value as 'abc'"),
        ("http://h:99999/v1", "Port out of range 0-65535"),
        ("http://[::1", "Invalid IPv6 URL"),
        (f"http://{LONG}/v1", "encoding with 'idna' codec failed"),
        ("http://h\x1b/v1", "it has characters that no URL has"),
    ],
)
def test_urls(olmv: Any, here: Path, url: str, message: str) -> None:
    code, _, err = olmv("describe-labels", "dog", "--dry-run", "--llm", f"openai:m@{url}")
    assert code == 2
    assert f"is no URL ({message}" in err
    assert "write it as http://127.0.0.1:8000/v1" in err


@pytest.mark.parametrize("value", ["2020-99-99", DEEP, "!!int ''", "!!timestamp x", DIGITS, "\x00", "\udc80"])
def test_options(olmv: Any, here: Path, value: str) -> None:
    arguments = ("--dry-run", "--llm", "openai:m@http://127.0.0.1:9/v1", "--llm-option", f"k={value}")
    code, _, err = olmv("describe-labels", "dog", *arguments)
    assert code == 2
    assert "is not a value (" in err
    assert len(err) < 600


@pytest.mark.parametrize("value", ["2020-99-99", DEEP, "!!int ''", "!!timestamp x", DIGITS])
def test_configs(olmv: Any, here: Path, value: str) -> None:
    (here / "c.yaml").write_text(f"data: {{train: {value}}}\n")
    code, _, err = olmv("train", "c.yaml")
    assert code == 2
    assert "c.yaml is not YAML: " in err
    (here / "ok.yaml").write_text("data: {train: x.jsonl}\n")
    code, _, err = olmv("train", "ok.yaml", "--set", f"seed={value}")
    assert code == 2
    assert "the value is not YAML; put it in quotes" in err
    assert len(err) < 200
