"""Labels of frames, where a model tells them."""

from types import SimpleNamespace
from typing import Any

import pytest

from olmv.caption.frame_labels import FrameLabels
from olmv.caption.from_labels import as_words, words_from
from olmv.errors import UsageError
from olmv.labels.vocabulary import Vocabulary
from olmv.video.options import DecodeOptions

NAMES = Vocabulary.from_names(["dog", "owl", "dining table", "punching bag", "playing guitar"])


def test_a_model_of_whole_videos_is_refused() -> None:
    model = SimpleNamespace(name="x-clip", prompts_texts=True, preprocess=SimpleNamespace(size=8))
    classifier: Any = SimpleNamespace(model=model)
    with pytest.raises(UsageError, match="x-clip tells labels of a whole video, not of its frames"):
        FrameLabels(classifier, NAMES, words_from(NAMES), DecodeOptions(frames=2))


def test_labels_stand_as_in_a_sentence() -> None:
    words = words_from(NAMES)
    assert words.motions == ("playing guitar",)
    assert as_words(["owl", "playing guitar", "dining table"], words) == "an owl, playing guitar, a dining table"
    assert as_words([], words) == ""
