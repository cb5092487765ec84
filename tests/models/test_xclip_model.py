"""X-CLIP behind the classifier: the published score, its own frames, pixels and tokens, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from olmv import Classifier, ModelError, UsageError
from olmv.cli import main
from olmv.labels.background import BACKGROUND_WORDS
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.registry import frames_for, load_model, load_video_clip, model_info, text_limit
from olmv.models.storage.label_embeddings import LabelEmbeddings
from olmv.models.storage.saving import save_pretrained
from olmv.models.xclip.model import XClipModel, authors_preprocess, hf_preprocess
from olmv.scoring.prompted import PromptedBank
from olmv.scoring.score import score_clips
from tests.models.xclip_folders import SPOKEN, hf_folder, tiny_xclip
from tests.models.xclips import our_xclip
from tests.support.samples import write_clip

LABELS = ["riding a bike", "dog", "Apply Eye Makeup"]
CLIP_PIXELS = {"size": 32, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2], "resample": 3}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def hf(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("xclip") / "xclip-tiny"
    return folder, hf_folder(folder)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(tiny_xclip())


def pixels(seed: int = 0, frames: int = SPOKEN.frames) -> Tensor:
    shape = (frames, 3, SPOKEN.image_size, SPOKEN.image_size)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def bank(classifier: Classifier, *labels: str, templates: str = "none") -> Any:
    return classifier.text_bank(build_texts(Vocabulary.from_names(list(labels or LABELS)), templates))


def hf_logits(model: Any, clips: list[Tensor], texts: list[str]) -> Tensor:
    """What transformers gives [B, K], from tokens of its own kind of padding and ImageNet's statistics."""
    from open_clip.tokenizer import SimpleTokenizer

    ids = SimpleTokenizer(context_length=77)(texts)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    frames = (torch.stack(clips).float() / 255 - mean[:, None, None]) / std[:, None, None]
    with torch.inference_mode():
        logits: Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=frames).logits_per_video
    return logits


def test_a_folder_of_hugging_face_scores_as_transformers_does(hf: tuple[Path, Any]) -> None:
    folder, theirs = hf
    classifier = Classifier(load_model(folder, device="cpu", dtype="float32"))
    clips = [pixels(seed) for seed in range(3)]
    embedded = classifier.embed_clips(clips)
    similarity, logits = score_clips(classifier.model, embedded, bank(classifier), mode="single-label")
    expected = hf_logits(theirs, clips, LABELS)
    assert (logits - expected).abs().max() < 1e-4
    assert (similarity * classifier.model.logit_scale - expected).abs().max() < 1e-4
    assert expected.std(0).min() > 1e-3, "the videos must matter"


def test_multi_label_measures_against_words_that_the_video_prompts_too(hf: tuple[Path, Any]) -> None:
    folder, theirs = hf
    classifier = Classifier(load_model(folder, device="cpu", dtype="float32"))
    clips = [pixels(seed) for seed in range(2)]
    _, logits = score_clips(classifier.model, classifier.embed_clips(clips), bank(classifier))
    own, words = hf_logits(theirs, clips, [*LABELS, *BACKGROUND_WORDS]).double().tensor_split([len(LABELS)], dim=1)
    expected = 2 * ((own - words.mean(1, keepdim=True)) / words.std(1, keepdim=True, correction=0) - 3)
    assert (logits - expected).abs().max() < 1e-3


def test_a_label_scores_alike_whatever_else_is_asked(classifier: Classifier) -> None:
    clip = classifier.embed_clips([pixels()])
    together = score_clips(classifier.model, clip, bank(classifier))[1][0]
    alone = [score_clips(classifier.model, clip, bank(classifier, label))[1][0, 0] for label in LABELS]
    assert torch.stack(alone) == pytest.approx(together, abs=1e-4)


def test_many_labels_are_prompted_in_parts(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = classifier.embed_clips([pixels()])[0]
    texts = torch.randn(11, SPOKEN.embed_dim)
    assert clip.context is not None
    whole = classifier.model.condition(texts, clip.context)
    monkeypatch.setattr("olmv.models.xclip.model._PROMPTED", 4)
    assert torch.allclose(classifier.model.condition(texts, clip.context), whole, atol=1e-6)
    assert whole.norm(dim=1) == pytest.approx(torch.ones(11), abs=1e-5)


def test_saved_and_loaded_it_scores_the_same(classifier: Classifier, tmp_path: Path) -> None:
    save_pretrained(classifier.model, tmp_path / "m", description="tiny")
    loaded = Classifier(load_model(tmp_path / "m", device="cpu", dtype="float32"))
    for before, after in zip(
        score_clips(classifier.model, classifier.embed_clips([pixels()]), bank(classifier)),
        score_clips(loaded.model, loaded.embed_clips([pixels()]), bank(loaded)),
        strict=True,
    ):
        assert torch.equal(before, after)
    assert loaded.model.preprocess == classifier.model.preprocess
    info = model_info(tmp_path / "m")
    assert (info.family, info.frames, info.image_size, info.description) == ("xclip", 4, 32, "tiny")
    assert text_limit(tmp_path / "m").context_length == 77


def test_predictions_from_files(classifier: Classifier, tmp_path: Path) -> None:
    clips = [write_clip(tmp_path / f"{seed}.mp4", seed=seed) for seed in range(3)]
    rows = list(classifier.predict(clips, LABELS, workers=0, explain=True, embeddings=True))
    assert [row.status for row in rows] == ["ok"] * 3
    assert rows[0].frames.requested == 4
    assert len({row.labels[0].similarity for row in rows}) == 3
    for row in rows:
        for explained in row.explanations:
            found = next(label for label in row.labels if label.label == explained.label)
            assert explained.similarity == pytest.approx(found.similarity, abs=1e-5)
            assert explained.frames == ()
        assert row.embedding is not None
        assert row.embedding.norm() == pytest.approx(1, abs=1e-5)


def test_what_a_video_gets_does_not_depend_on_its_mates(classifier: Classifier) -> None:
    clips = [pixels(1), pixels(2, frames=2), pixels(3)]
    together = classifier.embed_clips(clips)
    for clip, found in zip(clips, together, strict=True):
        alone = classifier.embed_clips([clip])[0]
        assert torch.allclose(alone.rows, found.rows, atol=1e-5)


@pytest.mark.parametrize(("frames", "shown"), [(1, [0, 0, 0, 0]), (2, [0, 0, 1, 1]), (3, [0, 1, 1, 2])])
def test_a_short_video_shows_frames_twice(classifier: Classifier, frames: int, shown: list[int]) -> None:
    short = pixels(5, frames=frames)
    repeated = classifier.embed_clips([short[shown]])[0]
    assert torch.allclose(classifier.embed_clips([short])[0].rows, repeated.rows, atol=1e-6)


def test_other_numbers_of_frames_are_refused_by_name(classifier: Classifier, hf: tuple[Path, Any]) -> None:
    with pytest.raises(UsageError, match="x-clip is made for 4 frames, got 8; look at 4"):
        classifier.predict(["a.mp4"], LABELS, frames=8)
    folder = str(hf[0])
    assert (frames_for(folder, None), frames_for(folder, 4), frames_for("olmv-mini", 3)) == (4, 4, 3)
    assert frames_for("olmv-mini", None) is None
    with pytest.raises(UsageError, match="is made for 4 frames, got 16; look at 4"):
        frames_for(folder, 16)


def test_templates_are_averaged_before_the_video_prompts_them(classifier: Classifier) -> None:
    made = bank(classifier, "dog", templates="video")
    assert isinstance(made, PromptedBank)
    texts = build_texts(Vocabulary.from_names(["dog"]), "video").texts
    assert torch.allclose(made.texts[0], classifier.model.encode_texts(texts).mean(0), atol=1e-5)
    with pytest.raises(ValueError, match="give the context"):
        made.for_video(None)
    labels = build_texts(Vocabulary.from_names(["dog"]), "none")
    with pytest.raises(ValueError, match="0 embeddings for 1 texts"):
        PromptedBank.from_texts(labels, torch.zeros(0, 16), condition=lambda texts, _: texts)


def test_texts_are_cached_as_they_are_before_prompting(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bank(classifier)
    monkeypatch.setattr(type(classifier.model), "encode_texts", None)
    again = bank(classifier)
    assert torch.equal(first.texts, again.texts)
    assert (first.texts.norm(dim=1) - 1).abs().min() > 1e-2, "not normalised"


def test_the_preprocessing_is_that_of_the_authors_or_of_the_folder(tmp_path: Path) -> None:
    ours = authors_preprocess(224)
    assert ours.mean == (0.485, 0.456, 0.406)
    wide = torch.zeros(1, 300, 600, 3, dtype=torch.uint8)
    wide[:, :, :300] = 255
    assert ours.resized(300, 600) == (256, 512)
    assert ours.resize(wide).shape == (1, 3, 224, 224)
    assert authors_preprocess(336).resized(768, 768) == (384, 384)
    assert hf_preprocess(tmp_path / "none.json", 32) == replace(authors_preprocess(32), crop_ratio=1.0, antialias=True)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(CLIP_PIXELS))
    assert hf_preprocess(path, 32).interpolation == "bicubic"
    assert hf_preprocess(path, 32).mean == (0.5, 0.4, 0.3)
    path.write_text(json.dumps({"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}}))
    assert hf_preprocess(path, 32).resized(100, 200) == (40, 80)
    path.write_text(json.dumps({"size": 64, "crop_size": 64}))
    with pytest.raises(ModelError, match="makes frames of 64 pixels, and the model is made for 32"):
        hf_preprocess(path, 32)
    unusable: tuple[dict[str, Any], ...] = (
        {"resample": 17}, {"resample": []}, {"size": True}, {"size": [1]}, {"size": {"a": 1}}, {"size": 10**400},
        {"size": float("inf")}, {"image_mean": [0, 0]}, {"image_mean": [10**400, 0, 0]}, {"image_std": [0, 0, 0]},
    )  # fmt: skip
    for wrong in unusable:
        path.write_text(json.dumps(wrong))
        with pytest.raises(ModelError, match=r"cannot be read as a preprocessing: .*; get it again"):
            hf_preprocess(path, 32)
    path.write_text('{"a":' * 100_000)
    with pytest.raises(ModelError, match=r"preprocessor_config\.json cannot be read: .*; get it again"):
        hf_preprocess(path, 32)


def test_weights_that_are_a_pickle_are_not_opened(hf: tuple[Path, Any], tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(hf[0], folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match=r"as a pickle only, .* olmv models convert .*pytorch_model\.bin"):
        load_model(folder)


def test_broken_folders_are_one_line(hf: tuple[Path, Any], tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(hf[0], folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(folder)
    (folder / "model.safetensors").write_bytes(whole)
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["num_frames"] = 6
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="the weights do not fit this X-CLIP"):
        load_model(folder)
    save_pretrained(tiny_xclip(), tmp_path / "ours")
    path = tmp_path / "ours" / "config.json"
    saved = json.loads(path.read_text())
    path.write_text(json.dumps(saved | {"architecture": {"layers_of_paint": 3}}))
    with pytest.raises(ModelError, match=r"cannot be loaded: .*layers_of_paint'; save the model, or get it, again"):
        load_model(tmp_path / "ours")
    path.write_text(json.dumps(saved | {"architecture": saved["architecture"] | {"embed_dim": 32}}))
    with pytest.raises(ModelError, match=r"do not fit its config: .* is \[.*\], not \[.*\]; save the model"):
        load_model(tmp_path / "ours")


def test_what_only_a_video_clip_can_do_is_refused(hf: tuple[Path, Any]) -> None:
    with pytest.raises(ModelError, match="is an X-CLIP, which takes no temporal module and is not trained by olmv"):
        load_model(hf[0], temporal="mean")
    with pytest.raises(ModelError, match="is an X-CLIP, which olmv predicts and evaluates with only; use a video CLIP"):
        load_video_clip(hf[0])


def test_parts_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ModelError, match="reads 99 tokens, and CLIP's tokenizer has 49408"):
        XClipModel(our_xclip(replace(SPOKEN, vocab_size=99)), name="x", preprocess=authors_preprocess(32))
    with pytest.raises(ModelError, match="made for 32 pixels, its preprocessing gives 64"):
        XClipModel(our_xclip(SPOKEN), name="x", preprocess=authors_preprocess(64))


def test_a_video_clip_has_no_texts_to_prompt() -> None:
    with pytest.raises(NotImplementedError, match="do not depend on the video"):
        load_model("olmv-mini", device="cpu").condition(torch.zeros(1, 1), torch.zeros(1, 1))


def test_half_precision_gives_unit_vectors_too(classifier: Classifier) -> None:
    half = Classifier(tiny_xclip().to(torch.bfloat16))
    assert half.model.logit_scale == classifier.model.logit_scale
    clip = half.embed_clips([pixels()])[0]
    assert clip.context is not None
    prompted = half.model.condition(half.model.encode_texts(LABELS), clip.context)
    for vectors in (prompted, clip.rows[None]):
        assert (vectors.norm(dim=-1) - 1).abs().max() < 1e-6
    near = score_clips(classifier.model, classifier.embed_clips([pixels()]), bank(classifier), mode="single-label")[0]
    found = score_clips(half.model, [clip], bank(half), mode="single-label")[0]
    assert (found - near).abs().max() < 0.05


def test_an_embedding_alone_says_nothing_of_a_text(classifier: Classifier) -> None:
    with pytest.raises(UsageError, match="the texts of x-clip depend on the whole video"):
        classifier.similarity(torch.zeros(SPOKEN.embed_dim), "dog")
    stored = LabelEmbeddings(("dog",), torch.nn.functional.normalize(torch.ones(1, SPOKEN.embed_dim), dim=1))
    with pytest.raises(ModelError, match="so labels have no embedding to store"):
        classifier.model.label_embeddings = stored


def test_captions_of_labels_look_at_its_own_number_of_frames(hf: tuple[Path, Any], tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clips" / "a.mp4")
    rows = tmp_path / "c.jsonl"
    captioner, labels = f"labels:{hf[0]}", tmp_path / "labels.txt"
    labels.write_text("dog\nrain\n")
    command = ["caption", str(clip), "-o", str(rows), "--captioner", captioner, "--labels", str(labels), "-q"]
    assert main(command) in (0, 1)  # a random model may name nothing
    row = json.loads(rows.read_text())
    assert row["frames"]["requested"] == 4
    assert row.get("similarity") is None
    rows.unlink()
    assert main([*command, "--min-similarity", "0.2"]) == 2
    assert main([*command, "--frames", "8"]) == 2


def test_captions_are_not_compared_by_it(
    hf: tuple[Path, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "clips" / "a.mp4")
    options = ["--captioner", "blip2:none", "--llm", "openai:none", "--model", str(hf[0])]
    assert main(["caption", str(clip), "-o", str(tmp_path / "c.jsonl"), *options]) == 2
    assert "compares no captions (X-CLIP); name a video CLIP" in capsys.readouterr().err
