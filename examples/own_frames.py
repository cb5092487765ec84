"""Frames of your own: labels for numpy arrays and pictures, without any file.

    python examples/own_frames.py

The frames may come from a camera, a simulator or another decoder; here they are made of numbers.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

import olmv

LABELS = ["striped background", "checkered background", "blue background", "green background"]


def stripes(frames: int = 8, side: int = 128) -> np.ndarray:
    """Stripes of two colours that move: uint8 [T, H, W, 3]."""
    place = np.add.outer(np.arange(frames) * 4, np.arange(side)) // 16 % 2
    colours = np.array([[240, 200, 60], [200, 60, 60]], dtype=np.uint8)
    return np.broadcast_to(colours[place][:, None], (frames, side, side, 3))


def inputs() -> Iterator[np.ndarray | Image.Image | list[Image.Image]]:
    """A clip, a photo, and a clip whose frames are pictures: a generator is read as far as needed."""
    yield stripes()
    yield Image.new("RGB", (128, 128), (40, 80, 220))
    yield [Image.fromarray(frame) for frame in stripes(frames=16)]


def main() -> None:
    """Print the most probable labels of each."""
    with olmv.Classifier.from_pretrained("olmv-mini") as classifier:
        for prediction in classifier.predict(inputs(), LABELS, top_k=2):
            best = ", ".join(f"{label.label} {label.probability:.3f}" for label in prediction.labels)
            print(f"{prediction.video:12} {best}")


if __name__ == "__main__":
    main()
