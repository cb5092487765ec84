"""Frames of your own: labels for a numpy array, without any file.

    python examples/own_frames.py

The frames may come from a camera, a simulator or another decoder; here they are made of numbers.
"""

import numpy as np
import torch

import olmv

LABELS = ["striped background", "checkered background", "blue background", "green background"]


def stripes(frames: int = 8, side: int = 128) -> np.ndarray:
    """Stripes of two colours that move: uint8 [T, H, W, 3]."""
    place = np.add.outer(np.arange(frames) * 4, np.arange(side)) // 16 % 2
    colours = np.array([[240, 200, 60], [200, 60, 60]], dtype=np.uint8)
    return np.broadcast_to(colours[place][:, None], (frames, side, side, 3))


def main() -> None:
    """Print the labels, most alike first."""
    classifier = olmv.Classifier.from_pretrained("olmv-mini")
    pixels = torch.from_numpy(stripes().copy()).permute(0, 3, 1, 2)  # uint8 [T, 3, H, W], of any size
    embedding = classifier.embed_video(pixels)
    # a similarity is a cosine: good for ranking, no probability
    similarities = {label: classifier.similarity(embedding, label) for label in LABELS}
    for label, similarity in sorted(similarities.items(), key=lambda item: -item[1]):
        print(f"{similarity:6.3f} {label}")


if __name__ == "__main__":
    main()
