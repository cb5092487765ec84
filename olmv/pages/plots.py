"""Pictures of an evaluation, as PNG and PDF. Nothing here measures; figures come from `olmv.metrics.multilabel`.

Labels are untrusted text: they are cut, and matplotlib's own markup in them is escaped.
"""

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from olmv.metrics.ranked import precision_recall_curve
from olmv.pages.figures import deviation

if TYPE_CHECKING:
    from olmv.metrics.multilabel import MultiLabel

__all__ = [
    "Picture",
    "co_occurrence",
    "confusion",
    "heat_map",
    "pr_curves",
    "rank_histogram",
    "reliability",
    "splits",
    "threshold_sweep",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LONGEST_LABEL = 30
LABELS_SHOWN = 30
"""Rows of a heat map that can still be read in print."""

_YES, _WARM, _GREY, _INK = "#0f7b6c", "#c8642b", "#8b95a1", "#1b1f24"
# labels in other scripts, where the machine has such a font
_FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Emoji")


class Picture(NamedTuple):
    """One picture for screens and for print."""

    png: bytes
    pdf: bytes


def _picture(draw: Callable[..., None]) -> Callable[..., Picture]:
    """Make of `draw(figure, ...)` a function that returns the picture, whatever the user's own matplotlibrc says."""

    @wraps(draw)
    def drawn(*arguments: Any, **options: Any) -> Picture:
        import matplotlib
        from matplotlib import font_manager
        from matplotlib.figure import Figure

        with warnings.catch_warnings(), matplotlib.rc_context():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            matplotlib.rcdefaults()
            installed = set(font_manager.get_font_names())
            matplotlib.rcParams.update(
                {
                    "font.family": [name for name in _FONTS if name in installed] or ["sans-serif"],
                    "font.size": 9,
                    "pdf.fonttype": 42,  # journals refuse Type 3 fonts
                    "text.color": _INK,
                    "axes.edgecolor": _GREY,
                    "axes.spines.top": False,
                    "axes.spines.right": False,
                    "axes.titlesize": 10,
                    "grid.alpha": 0.25,
                    "legend.frameon": False,
                }
            )
            figure = Figure(figsize=(6, 4), layout="constrained")
            draw(figure, *arguments, **options)
            png, pdf = io.BytesIO(), io.BytesIO()
            figure.savefig(png, format="png", dpi=144)
            figure.savefig(pdf, format="pdf", metadata={"CreationDate": None})  # the same bytes for the same figures
        return Picture(png.getvalue(), pdf.getvalue())

    return drawn


def short(label: str) -> str:
    """Return a label as matplotlib may draw it: one line, at most 30 characters, `$` no mathematics."""
    text = " ".join(label.split())
    if len(text) > LONGEST_LABEL:
        text = text[: LONGEST_LABEL - 1] + "…"
    # a legend leaves out names that begin with an underscore
    return (" " + text if text.startswith("_") else text).replace("$", r"\$")


@_picture
def pr_curves(figure: Any, probability: Floats, truth: Bools, labels: Sequence[str], ap: Floats) -> None:
    """Draw precision over recall: the mean over labels, all pairs together, and the best and worst labels.

    Args:
        figure: given by the decorator, not by the caller.
        probability, truth: [N, C].
        labels: C names.
        ap: [C], average precision, NaN for labels without a positive or without a negative, which are not drawn.
    """
    recalls = np.linspace(0, 1, 201)

    def curve(of: Floats, true: Bools) -> Floats:
        precision, recall = precision_recall_curve(of, true)
        # the step function whose area is the average precision: at recall r, the first point that reaches it
        return np.asarray(precision[np.minimum(np.searchsorted(recall, recalls - 1e-12), len(recall) - 1)])

    axes = figure.add_subplot()
    order = [int(index) for index in np.argsort(-ap, kind="stable") if np.isfinite(ap[index])]
    best, worst = order[: min(3, len(order) // 2)], order[-min(3, (len(order) + 1) // 2) :]
    curves = {index: curve(probability[:, index], truth[:, index]) for index in order}
    for shown, style in ((best, ":"), (worst, "--")):
        for index in shown if len(order) > 1 else ():
            name = f"{short(labels[index])} ({ap[index]:.2f})"
            axes.plot(recalls, curves[index], linestyle=style, linewidth=1, label=name)
    if curves:
        axes.plot(
            recalls, curve(probability.ravel(), truth.ravel()), color=_GREY, linewidth=2, label="all pairs (micro)"
        )
        mean = np.mean(list(curves.values()), axis=0)
        axes.plot(recalls, mean, color=_YES, linewidth=2.5, label="mean over labels (macro)")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="Precision and recall")
    axes.grid()


@_picture
def reliability(figure: Any, measured: "MultiLabel") -> None:
    """Draw the share that is true of the pairs with each probability; below, how many pairs there are.

    Args:
        figure: given by the decorator, not by the caller.
        measured: by `olmv.metrics.multilabel.multi_label`.
    """
    bins = measured.reliability
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = bins.count > 0
    upper.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1, label="as promised")
    upper.plot(bins.probability[filled], bins.share[filled], color=_YES, marker="o", label="measured")
    errors = (
        (measured.ece, "over all pairs"),
        (measured.ece_above, "above 0.05"),
        (measured.bin_error, "over the bins"),
    )
    error = ", ".join(f"{100 * value:.1f} % {over}" for value, over in errors)
    heading = f"Calibration: Brier skill score {measured.brier_skill:.2f}\nerror {error}"
    upper.set(ylabel="share that is true", ylim=(-0.02, 1.02), title=heading)
    upper.grid()
    upper.legend(loc="upper left")
    lower.bar(bins.edges[:-1][filled], bins.count[filled], np.diff(bins.edges)[filled], align="edge", color=_GREY)
    lower.set(xlabel="probability", ylabel="pairs", yscale="log", xlim=(0, 1))


@_picture
def threshold_sweep(figure: Any, probability: Floats, truth: Bools, measured: "MultiLabel") -> None:
    """Draw precision, recall and F1 over one threshold for all labels, with the peaks marked.

    Args:
        figure: given by the decorator, not by the caller.
        probability, truth: [N, C].
        measured: by `olmv.metrics.multilabel.multi_label`, for the peaks.
    """
    peaks = (
        ("micro", _YES, measured.peak_threshold, measured.peak_f1),
        ("macro", _WARM, measured.peak_macro_threshold, measured.peak_macro_f1),
    )
    marks = [threshold for *_, threshold, _ in peaks if np.isfinite(threshold)]
    # probabilities may crowd near 0: quantiles put points where the pairs are
    near = np.quantile(probability, np.linspace(0, 1, 201)) if probability.size else np.zeros(0)
    thresholds = np.unique(np.concatenate([np.linspace(0, 1, 201), near, marks]))
    counted = [_counts(probability[:, c], truth[:, c], thresholds) for c in np.flatnonzero(truth.any(axis=0))]
    figure.set_size_inches(9, 3.4)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (name, colour, threshold, value) in zip(panels, peaks, strict=True):
        if counted:
            true, predicted, support = (np.array([item[k] for item in counted], dtype=np.float64) for k in range(3))
            if name == "micro":  # every pair counts, also those of labels that are never true
                everywhere = np.sort(probability, axis=None)
                predicted = (everywhere.size - np.searchsorted(everywhere, thresholds)).astype(np.float64)[None]
                true, support = true.sum(axis=0, keepdims=True), support.sum(axis=0, keepdims=True)
            precision = (true / np.maximum(predicted, 1)).mean(axis=0)
            recall = (true / support).mean(axis=0)
            f1 = (2 * true / (predicted + support)).mean(axis=0)
            axes.plot(thresholds, precision, color=_GREY, linestyle="--", label="precision")
            axes.plot(thresholds, recall, color=_GREY, linestyle=":", label="recall")
            axes.plot(thresholds, f1, color=colour, linewidth=2, label="F1")
            axes.plot([threshold], [value], "o", color=colour, label=f"best: {value:.3f} at {threshold:.2g}")
            axes.legend(fontsize=8)
        if np.isfinite(threshold) and threshold < 0.05:
            lowest = probability[probability > 0].min(initial=0.05)
            axes.set(xscale="log", xlim=(max(min(lowest, threshold / 2), 1e-6), 1))
        else:
            axes.set(xlim=(0, 1))
        title = "All pairs together (micro)" if name == "micro" else "Mean over labels (macro)"
        axes.set(xlabel="threshold", title=title, ylim=(0, 1.02))
        axes.grid()


def _counts(column: Floats, true: Bools, thresholds: Floats) -> tuple[Any, Any, Any]:
    """Count for one label, at every threshold, how often it is predicted and true, predicted, and true."""
    hits, everything = np.sort(column[true]), np.sort(column)
    both = hits.size - np.searchsorted(hits, thresholds)
    return both, everything.size - np.searchsorted(everything, thresholds), np.full(both.shape, hits.size)


def co_occurrence(predicted: Bools, truth: Bools) -> Floats:
    """Count on how many videos label j is predicted, though false, where label i is true: [C, C]."""
    return (truth.T.astype(np.float32) @ (predicted & ~truth).astype(np.float32)).astype(np.float64)


def confusion(predicted: NDArray[np.int64], truth: NDArray[np.int64], labels: int) -> Floats:
    """Count on how many videos class j is predicted where class i is true: [C, C]."""
    counts = np.bincount(truth * labels + predicted, minlength=labels * labels)
    return counts.reshape(labels, labels).astype(np.float64)


@_picture
def heat_map(figure: Any, counts: Floats, support: NDArray[np.int64], labels: Sequence[str], *, title: str) -> None:
    """Draw the rows and columns of a confusion matrix with the most errors, at most 30, as shares of the row's videos.

    Args:
        figure: given by the decorator, not by the caller.
        counts: [C, C], of `confusion` or `co_occurrence`; the diagonal is no error.
        support: [C], the videos of every label.
        labels: C names.
        title: above it.
    """
    errors = counts.copy()
    np.fill_diagonal(errors, 0)
    # a label is there for what it is taken for and for what is taken for it
    order = np.argsort(-(errors.sum(axis=1) + errors.sum(axis=0)), kind="stable")
    shown = np.sort(order[:LABELS_SHOWN])
    shares = counts[np.ix_(shown, shown)] / np.maximum(support[shown], 1)[:, None]
    names = [short(labels[index]) for index in shown]
    side = 2.6 + 0.19 * max(len(shown), 6)
    figure.set_size_inches(side + 0.6, side)
    figure.set_layout_engine("compressed")  # for axes that stay square
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="BuGn", vmin=0, vmax=max(shares.max(initial=0), 0.05), interpolation="nearest")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    figure.colorbar(image, shrink=0.6, label="share of the videos of the row")


@_picture
def splits(figure: Any, values: Mapping[str, float], *, metric: str) -> None:
    """Draw one metric (0..1) on every split, with mean and sample standard deviation.

    Args:
        figure: given by the decorator, not by the caller.
        values: split name -> value.
        metric: what it is called.
    """
    figure.set_size_inches(min(3 + 0.45 * len(values), 10), 3.2)
    axes = figure.add_subplot()
    numbers = 100 * np.array(list(values.values()), dtype=np.float64)
    mean, spread = deviation(numbers)
    axes.axhspan(mean - spread, mean + spread, color=_YES, alpha=0.12, linewidth=0)
    axes.axhline(mean, color=_YES, linewidth=1)
    axes.plot(range(len(numbers)), numbers, "o", color=_YES)
    axes.set_xticks(range(len(numbers)), [short(name) for name in values], rotation=45 if len(values) > 4 else 0)
    axes.set(ylabel=f"{metric} (%)", title=f"{mean:.1f} ± {spread:.1f} over {len(numbers)} splits")
    axes.margins(x=0.08, y=0.3)
    axes.grid(axis="y")


@_picture
def rank_histogram(figure: Any, text_to_video: NDArray[np.int64], video_to_text: NDArray[np.int64]) -> None:
    """Draw at which rank the first right answer comes, cumulated: recall over rank.

    Args:
        figure: given by the decorator, not by the caller.
        text_to_video, video_to_text: ranks, 1 is best, 0 where nothing is relevant.
    """
    axes = figure.add_subplot()
    most = 1
    for ranks, name, colour in ((text_to_video, "text → video", _YES), (video_to_text, "video → text", _WARM)):
        known = np.sort(ranks[ranks > 0])
        if known.size:
            share = np.arange(1, known.size + 1) / known.size
            axes.step(known, share, where="post", color=colour, label=f"{name}, median rank {np.median(known):g}")
            most = max(most, int(known[-1]))
    for rank in (1, 5, 10):
        axes.axvline(rank, color=_GREY, linestyle=":", linewidth=1)
    axes.set(xscale="log", xlim=(0.95, max(most, 10) * 1.05), ylim=(0, 1.02))
    axes.set(xlabel="rank of the first right answer", ylabel="share of the queries", title="Retrieval")
    axes.set_xticks([1, 5, 10, *(10**power for power in range(2, 6) if 10**power <= most)])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid()
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right")
