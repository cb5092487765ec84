"""Predict in Python: which labels are true of some videos, and how sure the model is.

    python examples/predict.py [VIDEO...]

Without videos it takes two clips that ship with olmv. They are drawings, which olmv-mini knows; for footage of your own
name "olmv-lite" or another model of `olmv models list`.
"""

import sys
from pathlib import Path

import olmv

CLIPS = Path(olmv.__file__).parent / "data" / "clips"


def main() -> None:
    """Print every label of every video, most probable first."""
    videos = sys.argv[1:] or [str(CLIPS / "guitar.mp4"), str(CLIPS / "penguin_in_the_snow.mp4")]
    classifier = olmv.Classifier.from_pretrained("olmv-mini")
    for prediction in classifier.predict(videos, ["guitar", "penguin", "snow", "rain"]):
        print(Path(prediction.video).name)
        if prediction.error is not None:  # a bad file costs one result, never the run
            print(f"  {prediction.error.type}: {prediction.error.message}")
        for label in sorted(prediction.labels, key=lambda label: -label.probability):
            print(f"  {'*' if label.positive else ' '} {label.label:10} {label.probability:.3f}")


if __name__ == "__main__":
    main()
