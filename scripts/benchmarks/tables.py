"""Write the tables of `docs/results` into the documents that show them.

    python scripts/benchmarks/tables.py [--check]

A document shows the table of `docs/results/NAME.json` between the lines `<!-- NAME -->` and `<!-- /NAME -->`. With
--check nothing is written and the exit status says how many documents would be.
"""

import argparse
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scripts.benchmarks.index_tables import index_engines_table, index_retrieval_table, index_table
from scripts.benchmarks.lab_tables import (
    amounts_table,
    captions_table,
    continual_table,
    drawn_amounts_table,
    forgetting_table,
    motions_table,
    naming_table,
    nouns_table,
    tuning_table,
)
from scripts.benchmarks.md_table import markdown
from scripts.benchmarks.predict_tables import parts_table, processes_table, runs_table
from scripts.benchmarks.report_tables import report_table
from scripts.benchmarks.review_tables import review_table
from scripts.benchmarks.scale_plan import (
    scale_assumed_table,
    scale_fill_table,
    scale_index_table,
    scale_query_table,
)
from scripts.benchmarks.serve_tables import fuzz_table, serve_table, texts_table
from scripts.benchmarks.timeline_tables import (
    timeline_costs_table,
    timeline_labels_table,
    timeline_quality_table,
    timeline_watch_table,
)

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"
DOCUMENTS = (
    "docs/benchmarks.md",
    "docs/scale.md",
    "docs/guides/own-videos.md",
    "docs/guides/review.md",
    "olmv/models/olmv-lite/README.md",
)
MARKED = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- /\2 -->)", re.DOTALL)

# the sets of ../shared/real that are shown, and what they are
SETS = {
    "actions": "clips, 10 actions (UCF101)",
    "objects": "photos, several labels (COCO)",
    "nouns": "photos, one of 100 nouns",
    "described": "clips 1080p with a caption",
}
ARMS = {
    "names": "the label's name alone",
    "templates": "in the model's template",
    "wordnet": "with a WordNet book",
    "handwritten": "with three handwritten attributes",
    "probe": "logistic regression on its frames",
    "retrieval": "caption to video",
    "captions": "captions from labels",
}
FIGURES = {
    "top1": "top-1", "map": "mAP", "micro_ap": "AP over all pairs", "f1": "macro F1 at 0.5",
    "f1_fitted": "macro F1, thresholds fitted (five folds)", "ece": "calibration error",
    "ece_fitted": "calibration error, scaled (five folds)", "r1": "R@1", "r10": "R@10",
    "named": "true labels named", "wrong": "wrong labels a clip",
}  # fmt: skip
LITE_PARTS = {
    "conse": "words of the 30 most probable classes, mixed by the picture (ConSE)",
    "mix": "classifier weights, mixed by the label's meaning",
    "mix+kinds": "the keys also say what a class is a kind of",
    "mix+taught": "the taught head alone",
    "lite": "both heads",
    "lite+person": "both templates: what ships",
}
WORLDS = {
    "drawn": "drawn clips, 137 labels", "drawn-brief": "the same, in view for a quarter",
    "objects": "photos, several labels", "objects-cuts": "four of them cut together",
    "nouns": "photos of a noun", "nouns-cuts": "four of them cut together",
    "actions": "clips of 10 actions", "actions-cuts": "four of them cut together",
}  # fmt: skip
SCORES = {
    "mean/null": "null prompts, `mean`",
    "mean/background": "everyday words, `mean`",
    "softmax/background": "everyday words, `softmax`",
}
SPEEDS = {
    "over_vit_b32": "frames a second, pixels to scores, over ViT-B-32's",
    "frames_per_s/olmv-lite": "olmv-lite's",
    "frames_per_s/ViT-B-32": "ViT-B-32's",
    "first_answer_s/olmv-lite": "`olmv predict one.mp4`, seconds to the row",
    "over_mini": "that over olmv-mini's",
    "import_timm_s": "seconds that importing timm would add",
    "import_transformers_s": "transformers'",
}
BOOK_SETS = {
    "actions": "10 actions, clips",
    "nouns": "100 nouns, photos",
    "objects": "76 objects, photos with several",
    "moji": "50 drawn objects, olmv-mini",
}
BOOK_ARMS = {
    "names": "the name alone",
    "templates": "the name in the model's templates",
    "wordnet": "with a WordNet book",
    "raw": "SmolLM2, all it wrote",
    "pruned": "the same after `--prune`",
    "gated": "SmolLM2 through the gate",
    "handwritten": "three by hand",
}
PROMISE_WORLDS = {
    "synthetic": "500 videos, drawn one by one",
    "copies": "100 sources, five near-copies of each",
    "groups": "the same, their sources in the `group` column",
    "synthetic_all": "drawn one by one, `--guarantee-scope all`",
    "moji": "drawn clips, olmv-mini",
}
GATE_ARMS = {
    "wording": "one attribute by itself, exact copies",
    "words": "and echoes, loops, near copies, language, other things",
    "all": "and what the sentence encoder says",
}


def real_table(data: Mapping[str, Any]) -> str:
    """A line for every arm of every set of real footage."""
    rows = []
    for name, what in SETS.items():
        for arm, asked in ARMS.items():
            prefix = f"{name}/{arm}/"
            values = {
                key.removeprefix(prefix): value for key, value in data["figures"].items() if key.startswith(prefix)
            }
            if values:
                shown = "; ".join(_with_interval(data, prefix, figure, value) for figure, value in values.items())
                count = next(data["n"][prefix + figure] for figure in values)
                rows.append([f"{name}: {what}", count, asked, shown])
    return markdown(["set", "n", "what is asked", "figures (95 % interval)"], rows)


def lite_table(data: Mapping[str, Any]) -> str:
    """What each part of olmv-lite is worth."""
    columns = {"actions/{}/top1": "actions top-1", "actions/{}/map": "mAP", "nouns/{}/top1": "nouns top-1",
               "nouns/{}/map": "mAP", "objects/{}/map": "objects mAP"}  # fmt: skip
    rows = [
        [told, *(f"{data['figures'][key.format(part)]:.3f}" for key in columns)] for part, told in LITE_PARTS.items()
    ]
    return markdown(["", *columns.values()], rows)


def score_table(data: Mapping[str, Any]) -> str:
    """What a label is measured against, and how frames are pooled: three ways in every world."""
    rows = []
    for world, told in WORLDS.items():
        for score, name in SCORES.items():
            keys = [f"{world}/{score}/{figure}" for figure in ("micro_ap", "macro_map", "macro_f1", "ece")]
            if keys[0] in data["figures"]:
                values = [f"{data['figures'][key]:.3f}" for key in keys]
                rows.append([f"{world}: {told}", data["n"][keys[0]], name, *values])
    return markdown(["world", "n", "score", "AP over all pairs", "mAP", "macro F1 at 0.5", "calibration error"], rows)


def speed_table(data: Mapping[str, Any]) -> str:
    """How fast olmv-lite is."""
    return markdown(["", ""], [[told, f"{data['figures'][key]:.2f}"] for key, told in SPEEDS.items()])


def books_table(data: Mapping[str, Any]) -> str:
    """What every book is worth on every set: the best of the poolings is not chosen, all stand there."""
    rows = []
    for name, what in BOOK_SETS.items():
        for arm, told in BOOK_ARMS.items():
            prefix = f"{name}/{arm}/"
            if f"{prefix}mean/map" not in data["figures"]:
                continue
            cells = []
            for pooling in ("mean", "max", "topk", "softmax"):
                value = data["figures"].get(f"{prefix}{pooling}/map")
                change = data["intervals"].get(f"{prefix}{pooling}/change")
                between = "" if change is None else f" ({change[0]:+.3f} to {change[1]:+.3f})"
                cells.append("" if value is None else f"{value:.3f}{between}")
            moved, each = (data["figures"].get(prefix + figure) for figure in ("moved", "attributes"))
            extra = ["" if moved is None else f"{moved:.0%}", "" if each is None else f"{each:.1f}"]
            rows.append([f"{name}: {what}", data["n"][f"{prefix}mean/map"], told, *cells, *extra])
    head = ["set", "n", "texts of a label", "mAP, `mean`", "`max`", "`topk`", "`softmax`", "labels moved", "attributes"]
    return markdown(head, rows)


def gate_table(data: Mapping[str, Any]) -> str:
    """Precision and recall of the gate."""
    rows = []
    for arm, told in GATE_ARMS.items():
        cells = []
        for half in ("test", "both"):
            for figure in ("precision", "recall", "good_kept"):
                key = f"{arm}/{half}/{figure}"
                low, high = data["intervals"][key]
                cells.append(f"{data['figures'][key]:.3f} ({low:.2f} to {high:.2f})")
        rows.append([told, *cells])
    head = ["checks", "precision, held out", "recall", "good kept", "precision, all", "recall", "good kept"]
    return markdown(head, rows)


def guarantee_table(data: Mapping[str, Any]) -> str:
    """Share of promises kept, what they reach, refusals, and draws without any broken one."""
    rows = []
    for world, told in PROMISE_WORLDS.items():
        for target in ("recall=0.9", "precision=0.8"):
            cells = []
            for confidence in (0.95, 0.9):
                key = f"{world}/{target}/{confidence}"
                kept, value, refused, whole = (
                    data["figures"][key + end] for end in ("", "/value", "/refused", "/whole_draw")
                )
                cells += [f"{kept:.3f} of {data['n'][key]}", f"{value:.3f}", f"{refused:.3f}", f"{whole:.2f}"]
            rows.append([told, target, *cells])
    head = ["calibration videos", "target"]
    for confidence in (0.95, 0.9):
        head += [f"kept at {confidence}", "reached, mean", "labels refused", "draws with all kept"]
    return markdown(head, rows)


TABLES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "eval_real": real_table,
    "ablate_lite": lite_table,
    "bench_score": score_table,
    "bench_lite": speed_table,
    "bench_predict": parts_table,
    "predict_processes": processes_table,
    "predict_runs": runs_table,
    "bench_books": books_table,
    "eval_gate": gate_table,
    "check_guarantee": guarantee_table,
    "lab_motions": motions_table,
    "lab_forgetting": forgetting_table,
    "real_tuning": tuning_table,
    "amounts": amounts_table,
    "lab_amounts": drawn_amounts_table,
    "lab_captions": captions_table,
    "lab_naming": naming_table,
    "lab_nouns": nouns_table,
    "continual": continual_table,
    "bench_report": report_table,
    "bench_timeline": timeline_quality_table,
    "timeline_costs": timeline_costs_table,
    "timeline_labels": timeline_labels_table,
    "timeline_watch": timeline_watch_table,
    "bench_index": index_table,
    "index_engines": index_engines_table,
    "index_retrieval": index_retrieval_table,
    "review": review_table,
    "scale_assumed": scale_assumed_table,
    "scale_fill": scale_fill_table,
    "scale_index": scale_index_table,
    "scale_query": scale_query_table,
    "bench_serve": serve_table,
    "fuzz_api": fuzz_table,
    "bench_texts": texts_table,
}
# marks that show a part of a file of another name
FILES = {
    "lab_amounts": "lab", "lab_motions": "lab", "lab_forgetting": "lab", "amounts": "real_tuning",
    "predict_processes": "bench_predict", "predict_runs": "bench_predict",
    "timeline_costs": "bench_timeline", "timeline_labels": "bench_timeline", "timeline_watch": "bench_timeline",
    "index_engines": "bench_index", "index_retrieval": "bench_index",
    "scale_assumed": "bench_index", "scale_fill": "bench_index", "scale_index": "bench_index",
    "scale_query": "bench_index",
}  # fmt: skip


def filled(text: str) -> str:
    """A document with every table in its place."""

    def table(mark: re.Match[str]) -> str:
        name = FILES.get(mark[2], mark[2])
        data = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        return mark[1] + TABLES[mark[2]](data) + mark[3]

    return MARKED.sub(table, text)


def _with_interval(data: Mapping[str, Any], prefix: str, figure: str, value: float) -> str:
    interval = data["intervals"].get(prefix + figure)
    between = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
    return f"{FIGURES[figure]} {value:.3f}{between}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    stale = 0
    for name in DOCUMENTS:
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        if (made := filled(text)) != text:
            stale += 1
            print(f"{'stale' if args.check else 'written'}: {name}")
            if not args.check:
                path.write_text(made, encoding="utf-8")
    return stale if args.check else 0


if __name__ == "__main__":
    raise SystemExit(main())
