"""How fast olmv-lite is, beside ViT-B-32 and olmv-mini, in one run.

python scripts/benchmarks/bench_lite.py [--json FILE] [--quick]

over_vit_b32      frames a second, pixels to scores, over ViT-B-32's (random weights have the real speed)
first_answer_s    `olmv predict one.mp4` from process start to row, and olmv-mini's, taken in turns
over_mini         the two as a ratio; at most 1 means that the real world costs no wait
import_timm_s, import_transformers_s   what olmv-lite's own code for its two networks saves
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from olmv.classifier import Classifier
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.open_clip.loading import random_model
from olmv.models.registry import load_model
from olmv.scoring.score import score_clips
from scripts.benchmarks.results import Figure, show, write

CLIP = Path(__file__).resolve().parents[2] / "olmv" / "data" / "clips" / "guitar.mp4"
LABELS = [f"label {number}" for number in range(20)]
PACKAGES = {"timm": "timm.models.efficientnet", "transformers": "transformers.models.bert.modeling_bert"}


def scored_per_second(classifiers: dict[str, Classifier], clips: int, rounds: int) -> dict[str, float]:
    """Frames a second from bytes of the model's size to scores, the best of rounds that alternate."""
    banks, pixels, best = {}, {}, dict.fromkeys(classifiers, 0.0)
    for name, classifier in classifiers.items():
        size = classifier.model.preprocess.size
        banks[name] = classifier.text_bank(
            build_texts(Vocabulary.from_names(LABELS), classifier.model.templates), mode="single-label"
        )
        pixels[name] = [torch.randint(0, 256, (8, 3, size, size), dtype=torch.uint8) for _ in range(clips)]
    for _ in range(rounds):
        for name, classifier in classifiers.items():
            started = time.perf_counter()
            score_clips(classifier.model, classifier.embed_clips(pixels[name]), banks[name], mode="single-label")
            best[name] = max(best[name], 8 * clips / (time.perf_counter() - started))
    return best


def seconds(command: list[str]) -> float:
    """Of a whole process."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def first_answers(rounds: int) -> dict[str, float]:
    """Seconds to the first row, by model: the median of rounds that alternate, after one that fills the text cache."""
    taken: dict[str, list[float]] = {"olmv-lite": [], "olmv-mini": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            for name, times in taken.items():
                rows = str(Path(folder) / f"{name}-{number}.jsonl")
                spent = seconds(
                    [sys.executable, "-m", "olmv", "predict", str(CLIP), "-l", "dog, guitar", "-m", name, "-o", rows]
                )
                if number:
                    times.append(spent)
    return {name: statistics.median(times) for name, times in taken.items()}


def imports(rounds: int) -> dict[str, float]:
    """Seconds that a library adds to importing torch."""
    plain = min(seconds([sys.executable, "-c", "import olmv, torch"]) for _ in range(rounds))
    return {
        name: min(seconds([sys.executable, "-c", f"import olmv, torch, {module}"]) for _ in range(rounds)) - plain
        for name, module in PACKAGES.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    clips, rounds = (2, 2) if args.quick else (8, 5)
    models = {"olmv-lite": load_model("olmv-lite", dtype="float32"), "ViT-B-32": random_model("ViT-B-32")}
    speed = scored_per_second({name: Classifier(model) for name, model in models.items()}, clips, rounds)
    answer, spared = first_answers(rounds), imports(rounds)
    values = {
        "over_vit_b32": speed["olmv-lite"] / speed["ViT-B-32"],
        "frames_per_s/olmv-lite": speed["olmv-lite"],
        "frames_per_s/ViT-B-32": speed["ViT-B-32"],
        "first_answer_s/olmv-lite": answer["olmv-lite"],
        "first_answer_s/olmv-mini": answer["olmv-mini"],
        "over_mini": answer["olmv-lite"] / answer["olmv-mini"],
        **{f"import_{name}_s": value for name, value in spared.items()},
    }
    figures = [Figure(name, value, None, None, rounds) for name, value in values.items()]
    show(figures, f"olmv-lite, {torch.get_num_threads()} threads, float32")
    if args.json is not None:
        write(args.json, figures, {"clips": clips, "rounds": rounds, "frames": 8, "labels": len(LABELS)})


if __name__ == "__main__":
    main()
