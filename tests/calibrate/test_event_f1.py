"""Thresholds over time: the grid equals finding segments one pair at a time; what is fitted is good on other films."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.calibrate.event_grid import EventGrid, levels_of
from olmv.calibrate.events import EventFitter, segmented
from olmv.calibrate.job import run
from olmv.calibrate.objectives import Objective
from olmv.calibrate.options import CalibrateJob
from olmv.errors import InputError, UsageError
from olmv.io.curves import curves_path
from olmv.metrics.temporal import Timeline, event_hits
from olmv.metrics.temporal_figures import event_counts
from olmv.scoring.segments import SegmentOptions, default_leave, find_segments
from olmv.scoring.thresholds import LabelThreshold, Thresholds
from tests.support.timed_runs import made_films, write_timelines, write_truth
from tests.support.watcher import Watcher

SHARP, FLAT = 3.0, -3.0  # where a label is true, its logit; elsewhere 4 lower


def lines_of(count: int, labels: dict[str, float], *, seed: int = 0, cells: int = 120) -> list[Timeline]:
    curves, truth = made_films(count, labels, seed=seed, cells=cells)
    return [
        Timeline(
            truth=tuple(
                np.array([span for name, *span in truth[film] if name == label], np.float64).reshape(-1, 2)
                for label in labels
            ),
            predicted=(np.zeros((0, 2)),) * len(labels),
            score=(np.zeros(0),) * len(labels),
            edges_s=np.arange(cells + 1.0),
            probability=np.stack(list(curves[film].values()), axis=1).astype(np.float32),
        )
        for film in curves
    ]


curves = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=25)
spans = st.lists(st.integers(0, 25), unique=True, max_size=6).map(
    lambda cuts: [(a, b) for a, b in zip(sorted(cuts)[::2], sorted(cuts)[1::2], strict=False)]
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(curves, spans), min_size=1, max_size=3),
    st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    st.sampled_from([0.0, 1.0, 1.5, 2.5]),
    st.sampled_from([0.0, 0.5, 2.0]),
)
def test_the_grid_counts_what_finding_segments_gives(
    films: list[tuple[list[float], list[tuple[int, int]]]], tolerance: float, join: float, least: float
) -> None:
    options = SegmentOptions(join_s=join, least_s=least)
    lines = [
        Timeline(
            truth=(np.array(truth, np.float64).reshape(-1, 2),),
            predicted=(np.zeros((0, 2)),),
            score=(np.zeros(0),),
            edges_s=np.arange(len(curve) + 1.0) * (1 + place / 2),
            probability=np.array(curve, np.float32)[:, None],
        )
        for place, (curve, truth) in enumerate(films)
    ]
    levels = np.array([0.1, 0.3, 0.5, 0.9])
    grid = EventGrid.of(lines, 0, levels, tolerance_s=tolerance, options=options)
    for i, enter in enumerate(levels.tolist()):
        for j, leave in enumerate(levels.tolist()):
            for video, line in enumerate(lines):
                segments = find_segments(
                    "", line.edges_s[:-1], line.edges_s[-1], line.probability[:, 0],
                    enter=enter, leave=leave, options=options,
                )  # fmt: skip
                got = np.array([(segment.start_s, segment.end_s) for segment in segments]).reshape(-1, 2)
                expected = (len(got), event_hits(got, line.truth[0], tolerance)) if j <= i else (0, 0)
                assert (grid.predicted[i, j, video], grid.hits[i, j, video]) == expected
    assert grid.support.tolist() == [len(truth) for _, truth in films]
    assert (grid.f1()[np.triu_indices(4, 1)] == -1).all()


def test_levels_rise_within_0_and_1_and_do_not_look_at_the_truth() -> None:
    levels = levels_of(np.random.default_rng(0).beta(0.3, 2, (500, 2)))
    assert 30 <= len(levels) <= 40
    assert (np.diff(levels) > 0).all()
    assert levels[0] > 0
    assert levels[-1] <= 1
    assert levels_of(np.full(7, 0.25)).tolist() == [0.25]
    assert levels_of(np.zeros(7)).tolist() != [0]


def test_the_middle_of_what_is_equally_good_is_taken() -> None:
    grid = EventGrid(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), *(np.zeros((5, 5, 1), np.int64),) * 2, np.array([1]))
    f1 = np.full((5, 5), -1.0)
    f1[1:4, 0] = f1[2, 1] = f1[2, 2] = 0.75
    assert grid.pair(f1) == (0.3, 0.2)


def test_the_best_pair_on_other_films() -> None:
    """One label is sure of itself, one never reaches 0.5: both are found where they begin and end."""
    labels = {"sharp": SHARP, "flat": FLAT}
    fit = EventFitter(lines_of(20, labels)).fit()
    assert fit.source == ("label", "label")
    assert fit.leave is not None
    assert (fit.leave <= fit.threshold).all()
    others = lines_of(30, labels, seed=1)
    fitted = EventFitter(others).measured(others, fit)
    at_half = event_counts([segmented(line, np.full(2, 0.5), np.full(2, np.nan)) for line in others])
    assert fitted.f1.min() > 0.85
    assert at_half.hits.sum(axis=0)[1] == 0
    # nor does a pair that is not tried do much better
    pairs = [(np.full(2, a), np.full(2, b)) for a in np.arange(0.05, 1, 0.1) for b in np.arange(0.05, a, 0.1)]
    best = np.zeros(2)
    for enter, leave in pairs:
        counts = event_counts([segmented(line, enter, leave) for line in others])
        best = np.maximum(best, 2 * counts.hits.sum(0) / (counts.predicted + counts.support).sum(0))
    assert (fitted.f1 > best - 0.06).all()


def test_thirty_films_take_seconds() -> None:
    lines = lines_of(30, {f"label {i}": SHARP - i / 3 for i in range(10)}, cells=600)
    start = time.perf_counter()
    EventFitter(lines).fit(min_support=61)  # all share a pair
    EventFitter(lines).fit()
    assert time.perf_counter() - start < 60  # seconds on an idle core; no more than a guard against a slow way


def test_rare_labels_share_a_pair_and_absent_ones_begin_above_their_curves() -> None:
    lines = lines_of(12, {"often": SHARP, "rare": SHARP, "never": 0.0})
    lines = [
        Timeline((line.truth[0], line.truth[1] if place < 2 else np.zeros((0, 2)), np.zeros((0, 2))),
                 line.predicted, line.score, line.edges_s, line.probability)
        for place, line in enumerate(lines)
    ]  # fmt: skip
    fit = EventFitter(lines).fit(min_support=10)
    assert fit.source == ("label", "pooled", "negatives")
    assert fit.leave is not None
    assert fit.threshold[1] == fit.pooled
    highest = max(line.probability[:, 2].max() for line in lines)
    assert fit.threshold[2] > highest
    assert np.isnan(fit.leave[2])
    assert fit.false_alarms[2] == pytest.approx(1 - 0.05 ** (1 / 12))
    assert np.isnan(fit.value[2])
    alone = EventFitter(lines).fit(min_support=5, videos=np.arange(12) < 2)
    assert alone.source == ("pooled", "pooled", "negatives")
    with pytest.raises(UsageError, match="no label is true at any time of these videos; give a truth with segments"):
        EventFitter([segmented(lines[0], np.ones(3), np.ones(3))]).fit(videos=np.array([False]))


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    curves, truth = made_films(20, {"guitar": SHARP, "dog <b>": FLAT, "rain": 2.0})
    write_truth(tmp_path / "truth.csv", {film: [s for s in spans if s[0] != "rain"] for film, spans in truth.items()})
    return write_timelines(tmp_path, curves)


def test_a_run(rows: Path, tmp_path: Path) -> None:
    watcher = Watcher()
    job = CalibrateJob(
        rows, tmp_path / "t.json", truth=tmp_path / "truth.csv", objective="event-f1", page=tmp_path / "p.html"
    )
    summary = run(job, watcher)
    assert summary.before is not None
    assert summary.after is not None
    assert summary.before.support.tolist() == summary.after.support.tolist() == [40, 40, 0]
    assert summary.before.decided.tolist() == [20] * 3
    assert summary.after.f1[1] > 0.7 > 0 == summary.before.f1[1]
    assert summary.before.never_true > 10 > summary.after.never_true
    thresholds = Thresholds.load(tmp_path / "t.json")
    entry = thresholds.entry("dog <b>")
    assert entry.objective == "event-f1"
    assert entry.leave is not None
    assert entry.leave <= entry.threshold < 0.5
    assert entry.value is not None
    assert entry.value > 0.8
    assert entry.support == 20
    assert entry.model_extra is not None
    assert entry.model_extra["cross_fitted"]["f1"] == pytest.approx(summary.after.f1[1], abs=1e-4)
    assert thresholds.entry("rain").leave is None
    assert any(note.startswith("1 labels true at no time begin above their curves here") for note in watcher.notes)
    page = (tmp_path / "p.html").read_text()
    assert f", ends below {entry.leave:.3g}" in page
    assert "dog &lt;b&gt;" in page
    assert "Figures are of events" in page


def test_no_film_is_judged_by_thresholds_that_saw_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise alone: what is fitted to it looks good there, and is not elsewhere."""
    monkeypatch.chdir(tmp_path)
    curves, truth = made_films(10, {"dog": 3.0}, cells=40)
    random = np.random.default_rng(5)
    noise = {film: {"dog": random.random(40)} for film in curves}
    rows = write_timelines(tmp_path, noise)
    job = CalibrateJob(rows, tmp_path / "t.json", truth=write_truth(tmp_path / "t.csv", truth), objective="event-f1")
    summary = run(job)
    assert summary.after is not None
    assert summary.after.f1[0] < (summary.thresholds.entry("dog").value or 0)


def test_what_cannot_be_fitted(rows: Path, tmp_path: Path) -> None:
    def fail(match: str, kind: type[UsageError] = UsageError, /, predictions: Path = rows, **fields: object) -> None:
        fields = {"truth": tmp_path / "truth.csv", "objective": "event-f1"} | fields
        with pytest.raises(kind, match=match):
            run(CalibrateJob(predictions, tmp_path / "t.json", **fields))  # type: ignore[arg-type]

    fail("the guarantee is about whole videos, not about events over time; leave one of them out", guarantee=0.9)
    fail("the scaling is about whole videos, not about events", scaling="platt")
    fail("events take a truth over time: add a file of video, label, start_s, end_s", truth=None)
    fail("is a result folder, which has no curves; predict with a timeline, into .jsonl", predictions=tmp_path)
    (tmp_path / "empty.csv").write_text("video,label,start_s,end_s\nfilm0.mp4,,,\nfilm1.mp4,,,\n")
    fail("no label is true at any time of these videos; give a truth", truth=tmp_path / "empty.csv")
    (tmp_path / "one.csv").write_text("video,label,start_s,end_s\nfilm0.mp4,guitar,1,2\n")
    fail("there is 1 video with predictions and truth; calibrating takes at least 2", truth=tmp_path / "one.csv")
    curves_path(rows).unlink()
    fail(r"no such file: .*curves.parquet; olmv predict --timeline writes it beside its rows", InputError)
    bare = [json.loads(line) for line in rows.read_text().splitlines()]
    rows.write_text("".join(json.dumps({k: v for k, v in row.items() if k != "segments"}) + "\n" for row in bare))
    fail(r"rows.jsonl has no segments of film0.mp4; predict again with a timeline, into .jsonl")


def test_the_objective_and_its_tolerance() -> None:
    assert [Objective.parse(text) for text in (" Event-F1 ", "event-f1=2", "event-f1 = 500ms")] == [
        Objective("events", 1.0, "event-f1"),
        Objective("events", 2.0, "event-f1=2"),
        Objective("events", 0.5, "event-f1=0.5"),
    ]
    with pytest.raises(UsageError, match="the tolerance of event-f1: 'soon' is no time; write 2s"):
        Objective.parse("event-f1=soon")
    with pytest.raises(UsageError, match=r"unknown objective 'event-f2'; give f1, f0.5, .* or event-f1"):
        Objective.parse("event-f2")


def test_leave_is_on_the_scale_of_the_threshold(tmp_path: Path) -> None:
    scaled = LabelThreshold.model_validate(
        {"threshold": 0.6, "leave": 0.3, "scaling": {"kind": "platt", "slope": 1.0, "offset": -1.0}}
    )
    thresholds = Thresholds({"dog": LabelThreshold(threshold=0.6, leave=0.3), "cat": 0.6, "cow": scaled})
    thresholds.save(tmp_path / "t.json")
    thresholds = Thresholds.load(tmp_path / "t.json")
    assert thresholds.leave_of("dog", 0.6) == 0.3
    assert thresholds.leave_of("dog", 0.2) == 0.2  # a lower threshold by hand
    assert thresholds.leave_of("cat", 0.6) == thresholds.leave_of("gnu", 0.6) == default_leave(0.6)
    shown = thresholds.leave_of("cow", thresholds["cow"])
    assert shown == pytest.approx(1 / (1 + np.exp(1) * 7 / 3), abs=1e-6)  # odds of 3 : 7, an e-th of them
    assert shown < thresholds["cow"]
    labels = '{"dog": {"threshold": 0.6, "leave": 0.7}}'
    (tmp_path / "t.json").write_text(f'{{"format": "olmv-thresholds/1", "labels": {labels}}}')
    with pytest.raises(UsageError, match=r"leave is 0.7, above the threshold 0.6; correct it there"):
        Thresholds.load(tmp_path / "t.json")
