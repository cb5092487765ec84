"""An attribute book: labels that the model does not know, told in words that it knows.

    python examples/attribute_book.py

`olmv describe-labels` writes such books with WordNet or a language model; this one is written by hand.
"""

import tempfile
from pathlib import Path

import olmv

CLIPS = Path(olmv.__file__).parent / "data" / "clips"
BOOK = {
    "chordophone": ["guitar", "a guitar with six strings"],
    "sphenisciform": ["penguin", "a penguin"],
    "flivver": ["automobile", "an old car"],
}


def main() -> None:
    """Print the probability of every label with its name alone and with the book."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "book.json"
        olmv.AttributeBook(BOOK).save(path)  # a file to edit, and for `olmv predict --attributes`
        book = olmv.AttributeBook.load(path)
    classifier = olmv.Classifier.from_pretrained("olmv-mini")
    videos = [CLIPS / "guitar.mp4", CLIPS / "penguin_in_the_snow.mp4", CLIPS / "car_in_the_rain.mp4"]
    plain = classifier.predict(videos, list(BOOK))
    described = classifier.predict(videos, list(BOOK), attributes=book, pooling="max")
    for before, after in zip(plain, described, strict=True):
        print(Path(before.video).name)
        for name, told in zip(before.labels, after.labels, strict=True):
            print(f"  {name.label:14} name alone {name.probability:.3f}   with the book {told.probability:.3f}")


if __name__ == "__main__":
    main()
