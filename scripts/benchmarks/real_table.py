"""Write the table of `docs/results/eval_real.json` into every document that shows it.

    python scripts/benchmarks/real_table.py [--check]

A document shows it between the lines `<!-- eval_real -->` and `<!-- /eval_real -->`. With --check nothing is written
and the exit status says whether something would be.
"""

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "docs" / "results" / "eval_real.json"
DOCUMENTS = ("README.md", "docs/benchmarks.md", "olmv/models/olmv-lite/README.md")
MARKED = re.compile(r"(<!-- eval_real -->\n).*?(<!-- /eval_real -->)", re.DOTALL)

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


def table(data: Mapping[str, Any]) -> str:
    """The Markdown table, a line for every arm of every set."""
    lines = ["| set | n | what is asked | figures (95 % interval) |", "|---|---|---|---|"]
    for name, what in SETS.items():
        for arm, asked in ARMS.items():
            prefix = f"{name}/{arm}/"
            found = {
                key.removeprefix(prefix): value for key, value in data["figures"].items() if key.startswith(prefix)
            }
            if found:
                shown = "; ".join(_shown(data, prefix, figure, value) for figure, value in found.items())
                count = next(data["n"][prefix + figure] for figure in found)
                lines.append(f"| {name}: {what} | {count} | {asked} | {shown} |")
    return "\n".join(lines) + "\n"


def filled(text: str, data: Mapping[str, Any]) -> str:
    """A document with the table in its place."""
    return MARKED.sub(lambda found: found[1] + table(data) + found[2], text)


def _shown(data: Mapping[str, Any], prefix: str, figure: str, value: float) -> str:
    interval = data["intervals"].get(prefix + figure)
    between = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
    return f"{FIGURES[figure]} {value:.3f}{between}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    data = json.loads(RESULT.read_text(encoding="utf-8"))
    stale = 0
    for name in DOCUMENTS:
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        if (made := filled(text, data)) != text:
            stale += 1
            print(f"{'stale' if args.check else 'written'}: {name}")
            if not args.check:
                path.write_text(made, encoding="utf-8")
    return stale if args.check else 0


if __name__ == "__main__":
    raise SystemExit(main())
