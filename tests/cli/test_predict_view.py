"""What a person sees: the table on a terminal, and text that cannot harm it."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from olmv.cli.views.predict_view import ROWS_BESIDE_FILE, PredictView, explanation_lines, plain_line
from olmv.cli.views.progress import printable
from olmv.predict.job import PredictSummary
from olmv.predictions import Failure, FrameCounts, LabelPrediction, VideoPrediction
from olmv.scoring.explain import Explanation, FrameContribution, TextContribution


def prediction(video: str = "a.mp4", error: str | None = None, /, **probabilities: float) -> VideoPrediction:
    return VideoPrediction(
        video=video,
        status="error" if error else "ok",
        error=Failure("DecodeError", error) if error else None,
        duration_s=1.0,
        frames=FrameCounts(8, 8),
        model="tiny",
        labels=tuple(LabelPrediction(name, 0.1, p, p, 0.5, p >= 0.5) for name, p in probabilities.items()),
    )


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 100 columns that keeps what was written."""
    written = io.StringIO()

    def console(**options: Any) -> Console:
        options.pop("stderr", None)
        return Console(file=written, force_terminal=True, width=100, color_system=None, **options)

    monkeypatch.setattr("rich.console.Console", console)
    return written


def view(**options: Any) -> PredictView:
    return PredictView(**{"quiet": False, "to_file": False, "explain": False} | options)


def test_table_on_a_terminal(screen: io.StringIO) -> None:
    with view() as shown:
        shown.started(total=2, done=0)
        shown.predicted(prediction(dog=0.9, rain=0.1, guitar=0.7))
        shown.predicted(prediction("b.mp4", "no frame can be decoded"))
        shown.finished(PredictSummary(total=2, earlier=0, ok=1, failed=1, seconds=2.0))
    text = screen.getvalue()
    assert "labels (green: positive)" in text
    assert "dog 0.90  guitar 0.70  rain 0.10" in text
    assert "no frame can be decoded" in text
    assert "1 video, 1 failed, 2.0 s, 1.0 videos/s" in text


def test_only_the_top_labels_are_shown(screen: io.StringIO) -> None:
    many = prediction(**{f"label{i}": 0.5 + i / 100 for i in range(20)})
    with view() as shown:
        shown.predicted(many)
    assert "label19" in screen.getvalue()
    assert "label10" not in screen.getvalue()
    assert "and 15 more" in screen.getvalue()
    assert plain_line(many).count("\t") == 5


def test_a_long_run_into_a_file_does_not_fill_the_screen(screen: io.StringIO) -> None:
    with view(to_file=True) as shown:
        shown.started(total=100, done=0)
        for number in range(100):
            shown.predicted(prediction(f"clip{number}.mp4", dog=0.9))
    assert f"clip{ROWS_BESIDE_FILE - 1}.mp4" in screen.getvalue()
    assert f"clip{ROWS_BESIDE_FILE}.mp4" not in screen.getvalue()


def test_failures_are_told_at_the_end_if_the_screen_did_not(capsys: pytest.CaptureFixture[str]) -> None:
    summary = PredictSummary(total=30, earlier=1, earlier_failed=1, failed=30)
    summary.failures = [("x.mp4", "too short")]
    view(to_file=True).finished(summary)
    err = capsys.readouterr().err
    assert "failed: x.mp4: too short" in err
    assert "and 29 more; their rows say why" in err
    assert "1 from before (1 failed)" in err


def test_text_progress_comes_and_goes(screen: io.StringIO) -> None:
    with view() as shown:
        shown.started(total=1, done=0)
        shown.advanced(512, 1024, stage="label texts")
        assert "label texts" in screen.getvalue()
        shown.advanced(1024, 1024, stage="label texts")
        screen.seek(0)
        screen.truncate()
    assert "videos" in screen.getvalue()
    assert "label texts" not in screen.getvalue()


def test_plain_progress_is_rare(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 4))
    monkeypatch.setattr("olmv.cli.views.progress.time.monotonic", lambda: float(next(clock)))
    shown = view()
    shown.started(total=50, done=10)
    for number in range(40):
        shown.predicted(prediction(f"{number}.mp4", dog=0.5))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "10 of 50 videos were done before; going on with the rest"
    assert 2 <= len(lines) < 40
    assert "videos/s" in lines[1]
    assert "s left" in lines[1]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("café 🎸.mp4", "café 🎸.mp4"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("two\nlines", "two\\nlines"),
        ("odd \udcff", "odd \\udcff"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert plain_line(prediction(text, dog=0.5)) == f"{shown}\t+dog 0.500"


def test_markup_in_names_is_only_text(screen: io.StringIO) -> None:
    with view() as shown:
        shown.note("[bold]note[/bold]")
        shown.predicted(prediction("[red]a[/red].mp4", **{"[b]x": 0.9}))
    for text in ("[bold]note[/bold]", "[red]a[/red].mp4", "[b]x 0.90"):
        assert text in screen.getvalue()


def test_a_label_is_not_explained_by_its_own_name() -> None:
    frames = (FrameContribution(3, 1.5, 0.2), FrameContribution(0, 0.25, 0.1))
    name, text = TextContribution("dog", 0.3), TextContribution("a wagging tail", 0.1)
    shown = replace(
        prediction(dog=0.9, cat=0.8, rain=0.7, snow=0.1),
        explanations=(
            Explanation("dog", 0.3, (name,), frames),
            Explanation("cat", 0.4, (name, text), frames),
            Explanation("rain", 0.1, (TextContribution("rain", 0.1),), ()),
            Explanation("snow", 0.1, (text,), frames),
        ),
    )
    assert explanation_lines(shown) == [
        "dog: at 1.5 s, 0.2 s",
        'cat: "dog" +0.300, "a wagging tail" +0.100; at 1.5 s, 0.2 s',
    ]
