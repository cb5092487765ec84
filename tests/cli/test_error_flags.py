"""The flags that the command line adds to an error of the library, which names options as Python does."""

from collections.abc import Callable

import pytest

from olmv.cli import app
from olmv.errors import OlmvError, OutputError, UsageError

Fail = Callable[..., str]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fail:
    """The line of standard error of a command that fails with an error."""

    def run(error: OlmvError, *arguments: str) -> str:
        def raise_it(*_: object) -> int:
            raise error

        monkeypatch.setattr(app, "_run", raise_it)
        assert app.main(list(arguments)) == 2
        return capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("options", "command", "flags"),
    [
        ("labels", "predict", " (--labels)"),
        (("resume", "output"), "predict", " (--no-resume, --output)"),  # the way out of the default
        (("output", "resume"), "predict", " (--output, --no-resume)"),
        ("frame_pooling", "predict", " (--frame-pooling)"),
        ("labels", "predict x --labels y -q", " (--labels)"),
        ("labels", "--log-format text predict", " (--labels)"),
        ((), "predict", ""),
        ("labels", "doctor", ""),  # it has none
        ("token", "predict", " (OLMV_SERVER_TOKEN)"),  # which `--server` asks with
        ("token", "serve", " (--token)"),
        (("labels", "output"), "calibrate", " (--output)"),
        ("inputs", "predict", ""),  # an argument, no flag
        ("ratio", "models convert", " (--ratio)"),
        ("ratio", "predict", ""),
        ("labels", "predcit", ""),
        ("labels", "", ""),
    ],
)
def test_what_is_added(fail: Fail, options: str | tuple[str, ...], command: str, flags: str) -> None:
    error = UsageError("the file is not there; give another", option=options)
    assert fail(error, *command.split()) == f"olmv: the file is not there; give another{flags}\n"


def test_any_error_of_olmv_may_name_options(fail: Fail) -> None:
    assert fail(OlmvError("no", option="device"), "predict") == "olmv: no (--device)\n"
    assert fail(OutputError("full", option="output"), "predict") == "olmv: full (--output)\n"


def test_the_library_itself_shows_no_flag() -> None:
    error = UsageError("start over", option="resume")
    assert str(error) == "start over"
    assert error.options == ("resume",)
