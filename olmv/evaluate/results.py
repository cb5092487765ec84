"""The folder that `olmv evaluate -o DIR` writes, and reading it again.

result.json    what was measured, how, and the figures
scores.npy     float32 [N, V, C] logits of N videos, V views and C labels; NaN for a video that failed
videos.jsonl   one row per video, in the order of the scores
labels.csv     one line per label
*.png, *.pdf, figures.tex, index.html   the same for people (`olmv.evaluate.page`)
"""

import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from olmv.datasets.groups import group_note
from olmv.errors import InputError, OutputError, UsageError
from olmv.evaluate.tables import csv_text, plain
from olmv.io.atomic import write_atomic
from olmv.io.journal import encode_row
from olmv.io.paths import read_text
from olmv.scoring.logits import sigmoid, softmax

if TYPE_CHECKING:
    from olmv.datasets.benchmarks.registry import Kind
    from olmv.evaluate.joined import Scored
    from olmv.evaluate.measure import Combine

__all__ = ["FORMAT", "KINDS", "Result", "json_text", "scored_of_result", "write_result"]

FORMAT = "olmv-result/1"
KINDS = ("single-label", "multi-label", "retrieval", "timed")


@dataclass(frozen=True)
class Result:
    """One evaluation. N videos, V views, C labels; numbers that do not exist are NaN here and null in the file.

    Args:
        protocol, kind, model: what was measured, one of `KINDS`, and of which model.
        created: when, ISO 8601 in UTC.
        labels: as they were given to the text tower.
        videos: per video `{"video", "status", "error", "truth": [labels], "predicted": [labels, best first]}`; where
            two labels read the same, also `"truth_index": [indices into labels]`; where the truth has groups, also
            `"group"`, "" for none.
        metrics: the headline figures.
        intervals: 95 % interval of a metric, (low, high).
        classes: the labels as the data set writes them; empty where they are the same.
        thresholds: from which probability on a label was predicted, per label; empty for other kinds.
        versions, settings: every package and every choice that a figure depends on.
        counts: "videos", "failed", "labels".
        splits: per split `{"name", "videos": [indices], "labels": [indices], "metrics": {}}`; a bare count in the place
            of the indices is read too, but such splits cannot be compared one by one.
        groups: metrics over some of the labels ("seen", "unseen").
        never, always: labels that are true of no video, of every video.
        notes: what a reader must know, one line each.
        combine: how the views of a video become one, see `olmv.evaluate.measure.combined`.
        scores: float32 [N, V, C] logits, or None where they are not kept.
    """

    protocol: str
    kind: "Kind | Literal['timed']"
    model: str
    created: str
    labels: tuple[str, ...]
    videos: tuple[Mapping[str, Any], ...]
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    thresholds: tuple[float, ...] = ()
    versions: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    splits: tuple[Mapping[str, Any], ...] = ()
    groups: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    never: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    combine: "Combine" = "logits"
    scores: NDArray[np.float32] | None = None

    @cached_property
    def truth(self) -> NDArray[np.bool_]:
        """Return which label is true of which video, bool [N, C]; rows of failed videos are filled too.

        Raises:
            UsageError: a row names a label that is not in the list.
        """
        places: dict[str, list[int]] = {}
        for index, label in enumerate(self.labels):
            places.setdefault(label, []).append(index)
        truth = np.zeros((len(self.videos), len(self.labels)), dtype=bool)
        for row, video in zip(truth, self.videos, strict=True):
            try:
                indices = video.get("truth_index")
                row[[i for label in video["truth"] for i in places[label]] if indices is None else indices] = True
            except (KeyError, IndexError) as missing:
                raise UsageError(
                    f"videos.jsonl: a true label of '{video.get('video')}' is not in the list of labels ({missing}); "
                    "evaluate again"
                ) from None
        return truth

    @cached_property
    def groups_of_videos(self) -> tuple[str, ...]:
        """Return the name of each video's group, "" for none; () where there are no groups."""
        if not any(isinstance(video.get("group"), str) for video in self.videos):
            return ()
        return tuple(str(video.get("group") or "") for video in self.videos)

    @cached_property
    def ok(self) -> NDArray[np.bool_]:
        """Return which videos have scores, bool [N]."""
        if self.scores is None:
            return np.array([video["status"] == "ok" for video in self.videos], dtype=bool)
        return np.asarray(np.isfinite(self.scores).all(axis=(1, 2)))

    def logit(self) -> NDArray[np.float64]:
        """Return one logit per video and label, [N, C], the views combined; NaN for a video that failed.

        Raises:
            UsageError: the folder has no scores.
        """
        if self.scores is None:
            raise UsageError(f"the result of {self.protocol} has no scores.npy; evaluate again")
        from olmv.evaluate.measure import combined

        return combined(self.scores, self.combine)

    def probability(self) -> NDArray[np.float64]:
        """Return the sigmoid of `logit` for multi-label, else its softmax over labels, [N, C]; NaN for failed ones."""
        logit = self.logit()
        if self.kind == "multi-label":
            return sigmoid(logit)
        return softmax(logit, axis=1)

    @classmethod
    def load(cls, folder: str | Path) -> "Result":
        """Read a result folder.

        Raises:
            InputError: no such folder, or one of its files is missing.
            UsageError: not a result, one of a newer format, or its files do not belong together.
        """
        folder = Path(folder)
        content = _content(folder)
        known = {name for name in cls.__dataclass_fields__ if name not in ("videos", "scores")}
        fields = {name: value for name, value in content.items() if name in known}
        if missing := {"protocol", "kind", "model", "created", "labels", "metrics"} - set(fields):
            raise UsageError(f"{folder / 'result.json'} lacks {', '.join(sorted(missing))}; evaluate again")
        if fields["kind"] not in KINDS:
            raise UsageError(f"{folder / 'result.json'} is of kind {fields['kind']!r}; use a newer olmv to read it")
        for name in ("labels", "classes", "thresholds", "splits", "never", "always", "notes"):
            fields[name] = tuple(fields.get(name, ()))
        fields["metrics"] = _numbers(fields["metrics"])
        fields["intervals"] = {
            name: (_number(low), _number(high)) for name, (low, high) in fields.get("intervals", {}).items()
        }
        fields["groups"] = {name: _numbers(metrics) for name, metrics in fields.get("groups", {}).items()}
        fields["splits"] = tuple(split | {"metrics": _numbers(split["metrics"])} for split in fields["splits"])
        videos = _videos(folder / "videos.jsonl")
        scores = _scores(folder / "scores.npy")
        if scores is not None and (scores.shape[0], scores.shape[2]) != (len(videos), len(fields["labels"])):
            raise UsageError(
                f"{folder / 'scores.npy'} has {scores.shape[0]} videos and {scores.shape[2]} labels, the rest of the "
                f"folder {len(videos)} and {len(fields['labels'])}; evaluate again"
            )
        return cls(**fields, videos=videos, scores=scores)


def write_result(folder: str | Path, result: Result, table: Sequence[Mapping[str, Any]] = ()) -> None:
    """Write result.json, scores.npy, videos.jsonl and labels.csv; the folder is made if need be.

    result.json goes first and comes back last: while it is missing, the folder is not a result. Scores that are
    mapped from the folder's own scores.npy stay where they are.

    Args:
        folder: where.
        result: what was measured.
        table: one row per label, as `olmv.evaluate.label_table.label_table` makes them; empty for retrieval.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    folder = Path(folder)
    stale = ["result.json"]
    stale += ["scores.npy"] if result.scores is None else []
    stale += [] if table else ["labels.csv"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in stale:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write to '{folder}': {error.strerror}; choose another folder", option="output"
        ) from None
    if result.scores is not None and not _is_there(result.scores, folder / "scores.npy"):
        held = io.BytesIO()
        np.save(held, result.scores.astype(np.float32, copy=False), allow_pickle=False)
        write_atomic(folder / "scores.npy", held.getvalue())
    write_atomic(folder / "videos.jsonl", (encode_row(plain(row)) for row in result.videos))
    if table:
        write_atomic(folder / "labels.csv", csv_text(result.kind, table))
    document: dict[str, Any] = {"format": FORMAT}
    document |= {
        name: plain(getattr(result, name)) for name in Result.__dataclass_fields__ if name not in ("videos", "scores")
    }
    write_atomic(folder / "result.json", json_text(document))


def _is_there(scores: NDArray[np.float32], path: Path) -> bool:
    """Tell whether these are the scores that lie in the file already."""
    base: Any = scores  # np.asarray of a mapped array keeps it as its base
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    if base is None or base.filename is None or not path.is_file() or not path.samefile(base.filename):
        return False
    return bool(np.load(path, mmap_mode="r", allow_pickle=False).shape == scores.shape)


def scored_of_result(folder: str | Path) -> "Scored":
    """Read the scores of a multi-label result folder beside their truth, without the videos that failed.

    Raises:
        InputError, UsageError: as `Result.load`; or it is not multi-label, has no scores, or none that are numbers.
    """
    from olmv.evaluate.joined import Scored

    result = Result.load(folder)
    if result.kind != "multi-label":
        raise UsageError(f"{folder} is a {result.kind} result, which has no thresholds; give a multi-label one")
    ok, logit, probability = result.ok, result.logit(), result.probability()
    if not ok.any():
        raise UsageError(f"every video of {folder} failed; evaluate again")
    threshold = np.array(result.thresholds or [0.5] * len(result.labels), dtype=np.float64)
    videos = tuple(str(video["video"]) for video, has_scores in zip(result.videos, ok, strict=True) if has_scores)
    left = len(ok) - len(videos)
    notes = (f"{left} of {len(ok)} videos failed and are left out",) if left else ()
    groups = tuple(group for group, has_scores in zip(result.groups_of_videos, ok, strict=False) if has_scores)
    return Scored(
        videos=videos,
        labels=result.labels,
        logit=logit[ok],
        probability=probability[ok],
        truth=result.truth[ok],
        threshold=threshold,
        model=result.model,
        notes=(*notes, *group_note(groups)),
        groups=groups,
    )


def json_text(document: Mapping[str, Any]) -> str:
    """Write indented JSON that can be written as UTF-8; numbers without fractions share a line."""
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a path that is not UTF-8 holds lone surrogates
        text = json.dumps(document, indent=1, allow_nan=False)
    # no string of JSON has a line break in it, so that this meets lists only
    return re.sub(r"\[\n\s*\d+(?:,\n\s*\d+)*\n\s*\]", lambda match: "".join(match[0].split()), text) + "\n"


def _content(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise InputError(f"no such folder: {folder}; name one that `olmv evaluate -o` wrote")
    path = folder / "result.json"
    if not path.is_file():
        raise InputError(f"{folder} has no result.json: no evaluation was finished there; run it again")
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError):
        content = None
    version = content.get("format") if isinstance(content, dict) else None
    if not isinstance(version, str) or not version.startswith("olmv-result/"):
        raise UsageError(f"{path} is not a result that `olmv evaluate` wrote; name another folder")
    if version != FORMAT:
        raise UsageError(
            f"{path} has the format {version}, this olmv reads {FORMAT}; use a newer olmv, or evaluate again"
        )
    assert isinstance(content, dict)
    return content


def _videos(path: Path) -> tuple[dict[str, Any], ...]:
    if not path.is_file():
        raise InputError(f"{path.parent} has no videos.jsonl; evaluate again")
    try:
        rows = tuple(json.loads(line) for line in read_text(path).split("\n") if line)
        sound = all(isinstance(row["video"], str) and isinstance(row["truth"], list) and row["status"] for row in rows)
    except (ValueError, TypeError, LookupError, RecursionError):
        sound = False
    if not sound:
        raise UsageError(f"{path} is not what `olmv evaluate` wrote; evaluate again")
    return rows


def _scores(path: Path) -> NDArray[np.float32] | None:
    if not path.is_file():
        return None
    try:
        scores = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError):
        scores = None
    if not isinstance(scores, np.ndarray) or scores.ndim != 3 or scores.dtype != np.float32:
        raise UsageError(f"{path} is not a float32 array of videos, views and labels; evaluate again")
    return scores


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _numbers(metrics: Mapping[str, float | None]) -> dict[str, float]:
    return {name: _number(value) for name, value in metrics.items()}
