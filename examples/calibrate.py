"""Calibrate: a threshold for every label, fitted to videos of which the truth is known.

    python examples/calibrate.py [FOLDER]

Predicts the clips that ship, fits thresholds to the rows with `olmv calibrate`, and uses them. Six clips are enough to
show the steps, not for thresholds to rely on. FOLDER keeps the files.
"""

import sys
import tempfile
from pathlib import Path

import olmv
from olmv.cli import main as olmv_command  # the command line as a function; returns the exit code

CLIPS = Path(olmv.__file__).parent / "data" / "clips"


def calibrate(folder: Path) -> None:
    """Print the thresholds, and what is positive with and without them."""
    rows, thresholds_file = folder / "rows.jsonl", folder / "thresholds.json"
    labels = CLIPS / "labels.txt"
    assert olmv_command(["predict", str(CLIPS), "-l", str(labels), "-m", "olmv-mini", "-o", str(rows), "-q"]) == 0
    # with one video a label; by default a label needs ten, and those with fewer share a threshold
    fit = ["calibrate", str(rows), "--truth", str(CLIPS / "clips.csv"), "--min-support", "1", "--folds", "2"]
    assert olmv_command([*fit, "-o", str(thresholds_file), "-q"]) == 0

    thresholds = olmv.Thresholds.load(thresholds_file)
    print(f"{len(thresholds)} thresholds, from {min(thresholds.values()):.3f} to {max(thresholds.values()):.3f}")
    classifier = olmv.Classifier.from_pretrained("olmv-mini")
    vocabulary = olmv.Vocabulary.load(labels)
    for name, chosen in (("at 0.5", None), ("calibrated", thresholds)):
        (prediction,) = classifier.predict(CLIPS / "dog_and_apple.mp4", vocabulary, thresholds=chosen)
        print(f"{name}: {', '.join(prediction.positives)}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        calibrate(Path(sys.argv[1] if len(sys.argv) > 1 else temporary))
