"""A stand-in for text towers: texts are near each other when they share words."""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from olmv.describe.gate.repetition import key_words

WIDTH = 1024


class WordTower:
    """Embeds a text as the set of its words, each in two directions of many; loads in no time.

    It takes the place of `SentenceEncoder` and of `ModelTower`, whose model it leaves alone.
    """

    name = "words"

    def __init__(self, model: object = None) -> None:
        self.calls = 0

    def embed(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors [N, D] of N phrases."""
        self.calls += 1
        vectors = np.zeros((len(phrases), WIDTH), np.float32)
        for row, phrase in enumerate(phrases):
            for word in key_words(phrase) or [phrase]:
                number = zlib.crc32(word.encode())
                vectors[row, [number % WIDTH, number // WIDTH % WIDTH]] += 1
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors
