from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import olmv
from olmv.caption.from_labels import (
    CAPTION_FRAME_POOLING,
    CAPTION_THRESHOLD,
    MAX_OBJECTS,
    SETTING_THRESHOLD,
    LabelWords,
    caption_of,
    moji_vocabulary,
    moji_words,
    sentence,
    with_article,
    words_from,
)
from olmv.labels.label import MAX_LABEL_CHARS, clean_text
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.registry import load_video_clip
from olmv.moji.render import Renderer
from olmv.moji.world import MOTIONS, object_names, sample_scene, scene_labels
from olmv.predictions import Failure, FrameCounts, LabelPrediction, VideoPrediction
from olmv.scoring.bank import TextBank
from olmv.scoring.pooling import score
from olmv.scoring.probabilities import to_logits, to_probabilities
from olmv.scoring.thresholds import thresholds_for

CLIPS = Path(olmv.__file__).parent / "data" / "clips"


def is_label(text: str) -> bool:
    try:
        return clean_text(text, what="label", limit=MAX_LABEL_CHARS) == text
    except olmv.VocabularyError:
        return False


plain_labels = st.text("abegiknostu -'.", min_size=1, max_size=20)
labels = st.one_of(plain_labels, st.text(min_size=1, max_size=20)).map(str.strip).filter(is_label)
label_lists = st.lists(labels, max_size=6)


def predicted(found: dict[str, float], thresholds: dict[str, float] | None = None) -> VideoPrediction:
    limits = thresholds or {}
    rows = tuple(
        LabelPrediction(n, 0.1, 0.0, p, limits.get(n, 0.5), positive=p >= limits.get(n, 0.5)) for n, p in found.items()
    )
    return VideoPrediction("a.mp4", "ok", None, 1.0, FrameCounts(8, 8), "olmv-mini", labels=rows)


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("penguin", "a penguin"),
        ("evergreen tree", "an evergreen tree"),
        ("Apple", "an Apple"),
        ("éclair", "an éclair"),
        ("unicorn", "a unicorn"),
        ("unit", "a unit"),
        ("uninhabited island", "an uninhabited island"),
        ("umbrella", "an umbrella"),
        ("European flag", "a European flag"),
        ("one-piece swimsuit", "a one-piece swimsuit"),
        ("onion", "an onion"),
        ("hourglass", "an hourglass"),
        ("house", "a house"),
        ("x-ray", "an x-ray"),
        ("t-shirt", "a t-shirt"),
        ("8 ball", "an 8 ball"),
    ],
)
def test_the_article_follows_the_sound(label: str, told: str) -> None:
    assert with_article(label) == told


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("grapes", "some grapes"),
        ("skis", "some skis"),
        ("clinking beer mugs", "some clinking beer mugs"),
        ("people wrestling", "some people wrestling"),
        ("bus", "a bus"),
        ("octopus", "an octopus"),
        ("dress", "a dress"),
        ("rhinoceros", "a rhinoceros"),
        ("nest with eggs", "a nest with eggs"),
        ("bunch of grapes", "a bunch of grapes"),
        ("person lifting weights", "a person lifting weights"),
        ("globe showing americas", "a globe showing americas"),
        ("four leaf clover", "a four leaf clover"),
    ],
)
def test_plurals_are_told_by_the_noun_that_counts(label: str, told: str) -> None:
    assert with_article(label) == told


@pytest.mark.parametrize(
    "label",
    ["bread", "cooked rice", "santa claus", "tennis", "the moon", "two dogs", "3 cats", "my dog", "犬", "собака"],
)
def test_some_labels_take_no_article(label: str) -> None:
    assert with_article(label) == label


def test_a_sentence_tells_objects_then_motions_then_settings() -> None:
    assert (
        sentence(["penguin", "evergreen tree"], [], ["snow", "gradient background"])
        == "The video shows a penguin and an evergreen tree, in the snow, on a gradient background."
    )
    assert (
        sentence(["dog", "man", "drum"], ["playing guitar", "dancing"], ["kitchen", "at night"])
        == "The video shows a dog, a man and a drum, playing guitar and dancing, in a kitchen, at night."
    )
    assert sentence(["dog"]) == "The video shows a dog."


def test_a_sentence_without_objects_is_still_one() -> None:
    assert sentence([], ["playing guitar"], ["rain"]) == "The video shows playing guitar, in the rain."
    assert sentence([], [], ["orange background"]) == "The video shows a scene, on an orange background."
    assert sentence([], [], ["beach"]) == "The video shows a scene, on a beach."


def test_nothing_to_tell_is_no_sentence() -> None:
    assert sentence([], [], []) == ""
    assert caption_of(predicted({"dog": 0.4}), LabelWords(("dog",))) == ("", [])


def test_a_full_stop_is_not_doubled() -> None:
    assert sentence(["cup of coffee etc."]) == "The video shows a cup of coffee etc."


@settings(max_examples=300, deadline=None)
@given(label_lists, label_lists, label_lists)
def test_every_label_stands_in_the_one_line_as_it_was_written(
    objects: list[str], motions: list[str], places: list[str]
) -> None:
    told = sentence(objects, motions, places)
    named = [*objects, *motions, *places]
    if not named:
        assert told == ""
        return
    assert told.startswith("The video shows ")
    assert told.splitlines() == [told]
    assert told.endswith((".", "!", "?"))
    assert all(name in told for name in named)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(labels, st.floats(0, 1), min_size=1, max_size=12), st.data())
def test_a_caption_names_the_most_probable_positives(found: dict[str, float], data: st.DataObject) -> None:
    kinds = {name: data.draw(st.integers(0, 3)) for name in found}  # 3: not in the words
    groups = [tuple(name for name in found if kinds[name] == kind) for kind in range(3)]
    told, named = caption_of(predicted(found), LabelWords(*groups), max_objects=2)
    for group in groups:
        positive = sorted((name for name in group if found[name] >= 0.5), key=lambda name: -found[name])
        assert [name for name in named if name in group] == positive[:2]
    assert [found[name] for name in named] == sorted((found[name] for name in named), reverse=True)
    assert all(name in told for name in named)
    assert bool(told) == bool(named)


def test_the_predictions_own_thresholds_decide() -> None:
    words = LabelWords(("dog", "owl"), (), ("rain",))
    prediction = predicted({"dog": 0.2, "owl": 0.3, "rain": 0.4}, {"dog": 0.1, "owl": 0.1})
    assert caption_of(prediction, words) == ("The video shows an owl and a dog.", ["owl", "dog"])


def test_labels_outside_the_words_are_left_out() -> None:
    assert caption_of(predicted({"dog": 0.9, "spoon": 0.9}), LabelWords(("dog",))) == (
        "The video shows a dog.",
        ["dog"],
    )


def test_a_label_of_two_kinds_is_told_once() -> None:
    told, named = caption_of(predicted({"rain": 0.9}), LabelWords(("rain",), (), ("rain",)))
    assert (told, named) == ("The video shows rain.", ["rain"])


def test_many_objects_are_cut_to_the_most_probable() -> None:
    found = {f"dog {letter}": 0.6 + index / 100 for index, letter in enumerate("abcdefgh")}
    _, named = caption_of(predicted(found), LabelWords(tuple(found)))
    assert named == [f"dog {letter}" for letter in "hgfedcba"[:MAX_OBJECTS]]


def test_a_video_that_failed_has_no_caption() -> None:
    failure = Failure("DecodeError", "no frame can be decoded")
    prediction = VideoPrediction("a.mp4", "error", failure, None, FrameCounts(8), "olmv-mini")
    assert caption_of(prediction, moji_words()) == ("", [])


def test_moji_words_are_labels_that_olmv_mini_knows() -> None:
    words = moji_words()
    assert all(is_label(name) for name in words.all)
    assert len(set(words.all)) == len(words.all) == len(words.objects) + len(words.settings)
    assert set(words.objects) == set(object_names("seen"))
    assert set(words.settings) == set(scene_labels())
    assert words.motions == ()
    assert not set(words.all) & set(MOTIONS)


def test_moji_labels_carry_the_thresholds_of_captions() -> None:
    vocabulary = moji_vocabulary()
    assert vocabulary.names == moji_words().all
    limits = dict(zip(vocabulary.names, thresholds_for(vocabulary), strict=True))
    assert limits["penguin"] == CAPTION_THRESHOLD
    assert limits["snow"] == limits["gradient background"] == SETTING_THRESHOLD


@pytest.mark.parametrize("name", moji_words().settings)
def test_every_setting_is_told_with_its_preposition(name: str) -> None:
    told = sentence(["dog"], [], [name])
    assert told.startswith(
        "The video shows a dog, in the " if name in ("rain", "snow") else "The video shows a dog, on a"
    )


def test_words_of_a_users_labels_are_objects_and_motions() -> None:
    names = ["dog", "playing guitar", "Swimming", "ring", "spring flowers", "building", "ceiling fan", "person running"]
    words = words_from(Vocabulary.from_names(names))
    assert words.motions == ("playing guitar", "Swimming")
    assert words.objects == ("dog", "ring", "spring flowers", "building", "ceiling fan", "person running")
    assert words.settings == ()
    assert set(words.all) == set(names)


def named_by_mini(clips: int, seed: int, frames: int = 8) -> list[tuple[set[str], list[str]]]:
    """For fresh clips the true objects, and what the caption names."""
    model, words, vocabulary = load_video_clip("olmv-mini"), moji_words(), moji_vocabulary()
    texts = build_texts(vocabulary, model.templates)
    moments = [(t + 0.5) / frames for t in range(frames)]
    scenes = [sample_scene(seed, i, names=words.objects, pairings="all") for i in range(clips)]
    limits, renderer = thresholds_for(vocabulary), Renderer(model.preprocess.size)
    found = []
    with torch.inference_mode():
        bank = TextBank.from_texts(texts, model.encode_texts(texts.texts))
        for scene in scenes:
            pictures = renderer([scene] * frames, moments)
            pixels = model.preprocess.normalize(pictures, dtype=model.dtype, device=model.device)
            similarity = score(
                model.encode_frames(pixels[None]).float(), None, bank, frame_pooling=CAPTION_FRAME_POOLING
            )
            logits = to_logits(similarity, scale=model.logit_scale, bias=model.logit_bias)
            probabilities = dict(zip(vocabulary.names, to_probabilities(logits)[0].tolist(), strict=True))
            prediction = predicted(probabilities, dict(zip(vocabulary.names, limits, strict=True)))
            found.append(({a.name for a in scene.actors}, caption_of(prediction, words)[1]))
    return found


@pytest.mark.slow
def test_most_captions_of_fresh_clips_name_every_object() -> None:
    found = named_by_mini(60, seed=4001)
    assert sum(true <= set(named) for true, named in found) / len(found) >= 0.7
    objects = set(object_names("seen"))
    wrong = sum(len((set(named) & objects) - true) for true, named in found) / len(found)
    assert wrong <= 2


@pytest.mark.slow
def test_a_video_file_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path))
    classifier = olmv.Classifier.from_pretrained("olmv-mini")
    clip = CLIPS / "penguin_in_the_snow.mp4"
    (prediction,) = classifier.predict([clip], moji_vocabulary(), frame_pooling=CAPTION_FRAME_POOLING, workers=0)
    told, named = caption_of(prediction, moji_words())
    assert {"penguin", "snow"} <= set(named)
    assert told.startswith("The video shows ")
    assert "a penguin" in told
    assert "in the snow" in told
