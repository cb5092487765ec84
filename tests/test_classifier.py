"""The façade: videos and labels in, predictions out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from olmv import AttributeBook, Classifier, Thresholds, UsageError, Vocabulary, VocabularyError
from olmv.models.clip.model import VideoCLIP
from olmv.models.registry import load_model
from olmv.models.storage.saving import save_pretrained
from olmv.predictions import VideoPrediction, round_significant
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model, write_open_clip_folder

LABELS = ["dog", "guitar", "rain"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder / f"{seed}.mp4", seed=seed) for seed in range(5)]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(tiny_model())


@pytest.fixture
def predict(classifier: Classifier, clips: list[Path]) -> Callable[..., list[VideoPrediction]]:
    def run(labels: Any = LABELS, *, paths: Any = None, model: Any = None, **options: Any) -> list[VideoPrediction]:
        chosen = classifier if model is None else Classifier(model)
        return list(chosen.predict(clips if paths is None else paths, labels, workers=0, **options))

    return run


def test_a_prediction_per_video_in_order(predict: Any, clips: list[Path]) -> None:
    predictions = predict()
    assert [prediction.video for prediction in predictions] == [str(clip) for clip in clips]
    for prediction in predictions:
        assert prediction.status == "ok"
        assert [label.label for label in prediction.labels] == LABELS
        assert all(0 <= label.probability <= 1 for label in prediction.labels)
        assert prediction.duration_s == pytest.approx(2.0, abs=0.1)
        assert (prediction.frames.requested, prediction.frames.decoded, prediction.frames.corrupt) == (8, 8, 0)
    assert len({prediction.labels[0].similarity for prediction in predictions}) == 5


def test_the_row_is_the_documented_one(predict: Any, clips: list[Path]) -> None:
    row = predict(paths=clips[:1])[0].to_row()
    assert list(row) == ["video", "status", "error", "duration_s", "frames", "model", "labels"]
    assert list(row["frames"]) == ["requested", "decoded", "corrupt", "encoded", "widest_gap_s", "capped"]
    assert list(row["labels"][0]) == ["label", "similarity", "logit", "probability", "threshold", "positive"]
    assert json.loads(json.dumps(row)) == row
    assert row["model"] == "tiny"


def test_a_bad_file_costs_its_own_row(predict: Any, clips: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("not a video")
    predictions = predict(paths=[bad, clips[0], tmp_path / "gone.mp4", clips[1], bad])
    assert [prediction.status for prediction in predictions] == ["error", "ok", "error", "ok", "error"]
    row = predictions[0].to_row()
    assert row["error"]["type"] == "NotAVideoError"
    assert "\n" not in row["error"]["message"]
    assert row["labels"] == []
    counts = {"requested": 8, "decoded": 0, "corrupt": 0, "encoded": 0}
    assert row["frames"] == counts | {"widest_gap_s": None, "capped": False}
    assert predictions[0].positives == []


def test_one_path_is_no_list_of_its_characters(predict: Any, clips: list[Path]) -> None:
    for one in (clips[0], str(clips[0])):
        assert [prediction.video for prediction in predict(paths=one)] == [str(clips[0])]


def test_no_video_at_all(predict: Any) -> None:
    assert predict(paths=[]) == []


@pytest.mark.parametrize("siglip", [False, True])
def test_probabilities_follow_from_logits(predict: Any, tmp_path: Path, siglip: bool) -> None:
    folder = write_open_clip_folder(tmp_path / "model", siglip=siglip)
    model = load_model(f"local-dir:{folder}", device="cpu", dtype="float32")
    assert (model.logit_bias is not None) == siglip
    for label in predict(model=model)[0].labels:
        assert label.probability == pytest.approx(torch.tensor(label.logit).sigmoid().item(), rel=1e-4)
        if model.logit_bias is not None:
            logit = model.logit_scale * label.similarity + model.logit_bias
            assert label.logit == pytest.approx(logit, abs=1e-4)


def test_a_label_does_not_depend_on_its_neighbours(predict: Any) -> None:
    alone = [prediction.labels[0] for prediction in predict(["rain"])]
    among = [prediction.labels[2] for prediction in predict(["dog", "guitar", "rain"])]
    assert [label.probability for label in alone] == pytest.approx([label.probability for label in among], rel=1e-5)


def test_single_label_shares_out_one(predict: Any) -> None:
    for prediction in predict(mode="single-label"):
        assert sum(label.probability for label in prediction.labels) == pytest.approx(1, abs=1e-5)


def test_top_k_keeps_the_best_first(predict: Any) -> None:
    for every, best in zip(predict(), predict(top_k=2), strict=True):
        ranked = sorted(every.labels, key=lambda label: -label.probability)
        assert list(best.labels) == ranked[:2]
    assert len(predict(top_k=9)[0].labels) == 3


def test_thresholds(predict: Any) -> None:
    probabilities = [label.probability for label in predict()[0].labels]
    exact = predict(thresholds=Thresholds({"dog": probabilities[0]}))[0].labels
    assert exact[0].positive  # at the threshold is positive
    assert [label.threshold for label in exact] == [probabilities[0], 0.5, 0.5]
    assert predict(threshold=0.0)[0].positives == [
        label for _, label in sorted(zip(probabilities, LABELS, strict=True), reverse=True)
    ]
    assert predict(threshold=1.0)[0].positives == []


@pytest.mark.parametrize("batch_size", [1, 7, 8, 64])
def test_the_batch_size_changes_nothing(predict: Any, clips: list[Path], tmp_path: Path, batch_size: int) -> None:
    short = write_clip(tmp_path / "short.mp4", seed=9, frames=3)
    paths = [clips[0], short, *clips[1:]]
    assert [p.to_row() for p in predict(paths=paths, batch_size=batch_size)] == [
        p.to_row() for path in paths for p in predict(paths=[path], batch_size=batch_size)
    ]


def test_a_clip_with_fewer_frames_gives_fewer(predict: Any, tmp_path: Path) -> None:
    short = write_clip(tmp_path / "short.mp4", frames=3)
    (prediction,) = predict(paths=[short])
    assert prediction.status == "ok"
    assert (prediction.frames.requested, prediction.frames.decoded) == (8, 3)
    assert len(prediction.times_s) == 3


@pytest.mark.parametrize("frame_pooling", ["mean", "max", "softmax", "logits"])
@pytest.mark.parametrize("pooling", ["mean", "max", "topk", "softmax"])
def test_every_pooling_explains_its_similarity(predict: Any, pooling: str, frame_pooling: str) -> None:
    book = AttributeBook({"dog": ["four legs", "fur", "a tail"], "rain": ["drops"]})
    options = {"pooling": pooling, "frame_pooling": frame_pooling}
    for prediction in predict(attributes=book, explain=True, **options):
        ranked = sorted(prediction.labels, key=lambda label: -label.probability)
        assert [e.label for e in prediction.explanations] == [label.label for label in ranked]
        for explanation, label in zip(prediction.explanations, ranked, strict=True):
            assert sum(text.contribution for text in explanation.texts) == pytest.approx(label.similarity, abs=1e-5)
        row = prediction.to_row()
        assert list(row["explanations"][0]) == ["label", "texts", "frames"]
        assert {frame["time_s"] for frame in row["explanations"][0]["frames"]} <= {
            round_significant(time) for time in prediction.times_s
        }


def test_a_temporal_module_gives_one_embedding_a_video(predict: Any, clips: list[Path], tmp_path: Path) -> None:
    short = write_clip(tmp_path / "short.mp4", seed=9, frames=3)
    model = tiny_model(temporal="attention")
    together = predict(model=model, paths=[*clips, short], explain=True)
    alone = predict(model=model, paths=[short], explain=True)
    for mixed, single in zip(together[-1].labels, alone[0].labels, strict=True):
        assert mixed.similarity == pytest.approx(single.similarity, abs=1e-5)
    assert alone[0].explanations[0].frames == ()


def test_thumbnails(predict: Any, clips: list[Path]) -> None:
    (prediction,) = predict(paths=clips[:1], thumbnails=True)
    assert len(prediction.thumbnails) == len(prediction.times_s) == 8
    assert all(jpeg.startswith(b"\xff\xd8") for jpeg in prediction.thumbnails)
    assert predict(paths=clips[:1])[0].thumbnails == ()


def test_a_second_run_encodes_no_text(predict: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(seed=5)
    encoded: list[str] = []
    encode = model.encode_texts

    def counting(texts: Any, **options: Any) -> Any:
        encoded.extend(texts)
        return encode(texts, **options)

    monkeypatch.setattr(model, "encode_texts", counting)
    progress: list[tuple[int, int]] = []
    first = predict(model=model, text_progress=lambda *done: progress.append(done))
    assert len(encoded) >= len(LABELS)
    assert progress[-1] == (len(encoded), len(encoded))
    encoded.clear()
    assert [p.to_row() for p in predict(model=model)] == [p.to_row() for p in first]
    assert encoded == []


def test_texts_past_the_context_are_named(classifier: Classifier) -> None:
    limit = classifier.model.context_length
    long = "x" * (3 * limit)
    ((label, text, count),) = classifier.truncated_texts(["dog", long])
    assert (label, text) == (long, long)
    assert count > limit


def test_ten_thousand_labels(predict: Any, clips: list[Path]) -> None:
    labels = [f"thing {i}" for i in range(10_000)]
    (prediction,) = predict(labels, paths=clips[:1], explain=True)
    assert len(prediction.labels) == 10_000
    assert len(prediction.explanations) == 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "both"}, "unknown mode 'both'; choose multi-label, single-label"),
        ({"pooling": "median"}, "unknown pooling 'median'; choose mean, max, topk, softmax"),
        ({"frame_pooling": "topk"}, "unknown frame pooling 'topk'; choose mean, max, softmax, logits"),
        ({"sampling": "random"}, "unknown sampling 'random'; choose uniform, dense, adaptive, keyframes"),
        ({"frames": 0}, "frames is 0; it must be at least 1"),
        ({"top_k": 0}, "top_k is 0; it must be at least 1"),
        ({"batch_size": -1}, "batch_size is -1; it must be at least 1"),
        ({"threshold": 1.5}, "threshold is 1.5; give a number from 0 to 1"),
        ({"templates": "vidoe"}, "no template set 'vidoe'; did you mean 'video'"),
    ],
)
def test_a_wrong_option_is_refused_by_the_call(
    classifier: Classifier, clips: list[Path], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        classifier.predict(clips, LABELS, **options)  # not iterated


def test_labels_must_be_a_list(classifier: Classifier) -> None:
    with pytest.raises(VocabularyError, match="a list of labels is needed, not one text"):
        classifier.predict([], "dog, guitar")
    with pytest.raises(VocabularyError, match=r"write \['dog'\] for one label"):
        classifier.truncated_texts("dog")
    with pytest.raises(VocabularyError, match="there are no labels"):
        classifier.predict([], [])


def test_the_vocabularys_own_thresholds_count(predict: Any, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("label,threshold\ndog,0.25\nrain,\n")
    labels = predict(Vocabulary.load(file))[0].labels
    assert [label.threshold for label in labels] == [0.25, 0.5]


def test_worker_processes_give_the_same_rows(classifier: Classifier, clips: list[Path]) -> None:
    here = [p.to_row() for p in classifier.predict(clips, LABELS, workers=0)]
    there = [p.to_row() for p in classifier.predict(clips, LABELS, workers=2)]
    assert here == there


@pytest.mark.parametrize(("value", "rounded"), [(0.123456789, 0.123457), (123456789.0, 123457000.0), (0.0, 0.0)])
def test_round_significant(value: float, rounded: float) -> None:
    assert round_significant(value) == rounded


def test_a_model_brings_its_frame_pooling(predict: Any, tmp_path: Path) -> None:
    model = tiny_model()
    model.frame_pooling = "max"
    save_pretrained(model, tmp_path / "saved")
    loaded = load_model(tmp_path / "saved", device="cpu", dtype="float32")
    assert loaded.frame_pooling == "max"
    by_default = predict(model=loaded)
    assert by_default == predict(model=loaded, frame_pooling="max")
    assert by_default != predict(model=loaded, frame_pooling="mean")
    loaded.frame_pooling = "median"
    with pytest.raises(UsageError, match="unknown frame pooling 'median'; choose mean, max, softmax, logits"):
        predict(model=loaded)


def test_a_pushed_model_comes_back_and_scores_the_same(predict: Any, classifier: Classifier, tmp_path: Path) -> None:
    where = classifier.push_to_hub(str(tmp_path / "shared" / "pets"), description="pets")
    assert Path(where) == tmp_path / "shared" / "pets"
    loaded = load_model(where, device="cpu", dtype="float32")
    before, after = (
        [label.probability for prediction in rows for label in prediction.labels]
        for rows in (predict(), predict(model=loaded))
    )
    assert before == after


def test_a_revision_names_a_model_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(name: str, **_: object) -> VideoCLIP:
        loaded.append(name)
        return tiny_model()

    monkeypatch.setattr("olmv.classifier.load_model", load)
    for name in ("me/pets", "hf:me/pets"):
        Classifier.from_pretrained(name, revision="v1")
    Classifier.from_pretrained("olmv-mini")
    assert loaded == ["hf:me/pets@v1", "hf:me/pets@v1", "olmv-mini"]
