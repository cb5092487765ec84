"""Fine-tune: a model of your own labels, from a manifest of videos.

    python examples/finetune.py [FOLDER]

Trains olmv-mini for a few steps on the clips that ship, then predicts with the result. So few clips teach nothing: the
steps are those for a real manifest. FOLDER keeps the run, and the same command goes on where it was.
"""

import sys
import tempfile
from pathlib import Path

import olmv
from olmv.cli import main as olmv_command  # the command line as a function; returns the exit code

CLIPS = Path(olmv.__file__).parent / "data" / "clips"
CONFIG = f"""
model: {{name: olmv-mini, train: visual}}
data:
  train: {{manifest: {CLIPS / "clips.csv"}}}
  validation:
    seen: {{manifest: {CLIPS / "clips.csv"}}}
  frames: 2
objective: {{frame_pooling: softmax}}           # as olmv-mini was trained
optimizer: {{lr: 1.0e-6, epochs: 1, warmup_epochs: 0, batch_size: 3}}
sweep: {{ratio: 0.5, ratios: [0.5]}}            # the model is half the original's weights, so that it forgets less
"""


def finetune(folder: Path) -> None:
    """Print what the tuned model says of a clip."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    assert olmv_command(["train", str(config), "-o", str(folder / "run"), "-q"]) == 0
    classifier = olmv.Classifier.from_pretrained(folder / "run" / "model")
    for prediction in classifier.predict(CLIPS / "guitar.mp4", ["guitar", "penguin", "striped background"]):
        print(f"{prediction.model} says: {', '.join(prediction.positives)}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        finetune(Path(sys.argv[1] if len(sys.argv) > 1 else temporary))
