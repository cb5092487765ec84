"""The contract of every family of open_clip's models: what olmv makes of one is what open_clip alone makes of it."""

import copy
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import cosine_similarity, interpolate, normalize

from olmv import Classifier, Vocabulary
from olmv.errors import ModelError
from olmv.labels import background
from olmv.labels.texts import build_texts
from olmv.models.clip.model import VideoCLIP
from olmv.models.open_clip.loading import random_model
from olmv.models.open_clip.towers import OpenClipTowers
from olmv.models.registry import load_model, load_video_clip
from olmv.models.storage.saving import save_pretrained
from olmv.scoring.score import score_clips
from olmv.video.transforms import Preprocess
from tests.models.architectures import MEANS, PUBLISHED, Published, Shop, shop
from tests.models.kinds import copy_of, randomise, towers_of

TEXTS = ["A Dog!", "a round red fruit, with a green leaf", "rain", "far too long a text " * 20]
INSIDE = ("cross-frame", "divided")


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop(tmp_path_factory.mktemp("shop")) as made:
        yield made


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "cache"))


@dataclass
class Made:
    case: Published
    model: VideoCLIP  # olmv's
    reference: Any  # open_clip's, of the same weights
    transform: Callable[[Image.Image], Tensor]
    tokenizer: Callable[[list[str]], Tensor]


@pytest.fixture(scope="module", params=PUBLISHED, ids=lambda case: case.name)
def made(request: pytest.FixtureRequest, stock: Shop) -> Iterator[Made]:
    case: Published = request.param
    yield Made(case, stock.load(case), *stock.reference(case))
    stock.weights(case).unlink()
    gc.collect()


def clips(case: Published, batch: int = 1, time: int = 1, seed: int = 0) -> Tensor:
    """[B, T, 3, S, S], every frame of a colour of its own with noise."""
    made = torch.Generator().manual_seed(seed)
    colours = torch.randn(batch, time, 3, 1, 1, generator=made)
    return colours + torch.randn(batch, time, 3, case.size, case.size, generator=made) / 2


def in_half(model: VideoCLIP) -> VideoCLIP:
    """A copy."""
    tokenizer = towers_of(model, OpenClipTowers).tokenizer
    return copy.deepcopy(model, {id(tokenizer): tokenizer}).to(torch.bfloat16)


def with_temporal(model: VideoCLIP, temporal: str, options: dict[str, Any] | None = None) -> VideoCLIP:
    """On a copy of the towers, with everything in the module at work."""
    towers = copy_of(towers_of(model, OpenClipTowers))
    torch.manual_seed(1)
    changed = VideoCLIP(
        towers, name=model.name, preprocess=model.preprocess, temporal=temporal, temporal_options=options
    )
    return randomise(changed.eval().requires_grad_(False))


def test_pictures_go_in_as_published(made: Made) -> None:
    case = made.case
    colours, interpolation, mode = case.picture.split()
    mean, std = MEANS[colours]
    expected = Preprocess(size=case.size, mean=mean, std=std, interpolation=interpolation, resize_mode=mode)
    assert made.model.preprocess == expected
    rng = torch.Generator().manual_seed(0)
    for height, width in ((300, 420), (410, 256), (120, 90)):
        smooth = interpolate(torch.rand(1, 3, 12, 12, generator=rng), (height, width), mode="bicubic")[0]
        picture = (smooth.clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
        mine = made.model.preprocess.normalize(made.model.preprocess.resize(picture))[0]
        theirs = made.transform(Image.fromarray(picture))
        levels = (mine - theirs).abs() * torch.tensor(std).view(3, 1, 1) * 255
        assert levels.max() < 2.01
        assert (levels > 1.01).float().mean() < 1e-3
        assert np.ptp(picture) > 100


def test_texts_are_read_as_published(made: Made) -> None:
    case, model = made.case, made.model
    assert model.context_length == case.context
    tokens = made.tokenizer(TEXTS)
    assert tokens.shape == (len(TEXTS), case.context)
    with torch.inference_mode():
        theirs = made.reference.encode_text(tokens, normalize=True)
    torch.testing.assert_close(model.encode_texts(TEXTS), theirs, rtol=0, atol=1e-5)
    assert (theirs[0] - theirs[2]).abs().max() > 1e-3
    counts = model.token_counts(TEXTS)
    letters = case.architecture.endswith("CLIPA")  # its tokenizer is one of letters here, and keeps the mark
    assert counts[0] == (7 if letters else 5)
    assert counts[-1] > case.context
    torch.testing.assert_close(model.encode_texts([TEXTS[-1]]), model.encode_texts([TEXTS[-1] + " indeed"]))


def test_frames_are_encoded_as_open_clip_does(made: Made) -> None:
    case, model = made.case, made.model
    assert (model.towers.architecture, model.towers.grid_side) == (case.tower, case.grid)
    frames = clips(case, 1, 3)
    with torch.inference_mode():
        mine = model.encode_frames(frames)[0]
        theirs = made.reference.encode_image(frames[0], normalize=True)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)
    assert (theirs[0] - theirs[1]).abs().max() > 1e-3


def test_tokens_come_with_the_very_embedding(made: Made) -> None:
    towers, pictures = made.model.towers, clips(made.case)[0]
    if made.case.grid is None:
        pytest.skip("no grid of patches")
    with torch.inference_mode():
        embedded, tokens = towers.image_and_tokens(pictures)
        torch.testing.assert_close(embedded, towers.image(pictures), rtol=1e-5, atol=1e-5)
    assert tokens.shape == (1, made.case.grid**2, towers.token_width)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_probabilities_are_the_models_own(made: Made, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case, reference = made.case, made.reference
    few = ("cat", "street", "eating", "a crowd", "snow")  # big text towers take long
    monkeypatch.setattr(background, "BACKGROUND_WORDS", few)
    model = made.model if dtype == "float32" else in_half(made.model)
    assert (model.logit_bias is not None) == case.sigmoid
    classifier = Classifier(model)
    labels = ["dog", "rain", "red fruit"]
    pixels = (clips(case, 1, 1)[0].sigmoid() * 255).byte()
    bank = classifier.text_bank(build_texts(Vocabulary(labels), "none"))
    similarity, logits = score_clips(model, classifier.embed_clips([pixels]), bank)
    with torch.inference_mode():
        frame = reference.encode_image(model.preprocess.normalize(pixels), normalize=True)
        texts = reference.encode_text(made.tokenizer([*labels, *few]), normalize=True)
        cosine, words = (frame @ texts.T).tensor_split([len(labels)], dim=1)
        scale = reference.logit_scale.exp()
        if dtype == "bfloat16":  # of the embeddings as they are, scale and bias must be exact
            cosine = similarity
        if case.sigmoid:
            expected = scale * cosine + reference.logit_bias
        elif dtype == "float32":
            deviation, mean = torch.std_mean(words, dim=1, correction=0, keepdim=True)
            expected = 2 * ((cosine - mean) / deviation - 3)
        else:
            assert model.logit_scale == float(scale)
            return
    torch.testing.assert_close(logits, expected, rtol=0, atol=2e-3 if dtype == "float32" else 1e-4)
    torch.testing.assert_close(similarity, cosine, rtol=0, atol=1e-5)


def test_gradients_reach_the_whole_of_both_towers(made: Made) -> None:
    model = made.model
    model.requires_grad_(True)
    frames = model.encode_frames(clips(made.case, 1, 2))
    texts = normalize(model.towers.text(TEXTS[:2]), dim=-1)
    torch.autograd.backward(((frames[0] @ texts.T) * torch.tensor([[1.0, -2.0], [3.0, 0.5]])).sum())
    clip = towers_of(model, OpenClipTowers).model
    named = {n: p for n, p in clip.named_parameters() if p.ndim > 1 and "text_decoder" not in n}
    without = [n for n, p in named.items() if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()]
    model.zero_grad(set_to_none=True)
    model.requires_grad_(False)
    assert without == []
    assert any(n.startswith("visual.") for n in named)
    assert any(not n.startswith("visual.") for n in named)


def test_a_saved_model_is_the_same_model(made: Made, tmp_path: Path) -> None:
    model, frames = made.model, clips(made.case, 1, 2)
    save_pretrained(model, tmp_path)
    again = load_video_clip(tmp_path, device="cpu", dtype="float32")
    state, other = model.state_dict(), again.state_dict()
    assert list(state) == list(other)
    for name, value in state.items():
        assert torch.equal(value, other[name]), name
    assert torch.equal(model.encode_texts(TEXTS), again.encode_texts(TEXTS))
    with torch.inference_mode():
        assert torch.equal(model.encode_frames(frames), again.encode_frames(frames))
    for what in ("preprocess", "context_length", "logit_scale", "logit_bias", "embed_dim", "fingerprint"):
        assert getattr(model, what) == getattr(again, what)
    assert model.token_counts(TEXTS) == again.token_counts(TEXTS)


def test_half_precision_stays_close(made: Made) -> None:
    half = in_half(made.model)
    assert half.dtype == torch.bfloat16
    frames = clips(made.case)
    with torch.inference_mode():
        picture = made.model.encode_frames(frames), half.encode_frames(frames.bfloat16()).float()
    assert cosine_similarity(*picture, dim=-1).min() >= 0.99
    assert cosine_similarity(made.model.encode_texts(TEXTS), half.encode_texts(TEXTS)).min() >= 0.99


def test_scale_and_bias_outlive_half_precision(stock: Shop, tmp_path: Path) -> None:
    case = next(case for case in PUBLISHED if case.sigmoid)
    model = stock.load(case)
    scale, bias = model.logit_scale, model.logit_bias
    rounded = copy.deepcopy(towers_of(model, OpenClipTowers).model).to(torch.bfloat16)  # outside of a VideoCLIP
    assert float(rounded.logit_scale.exp()) != pytest.approx(scale, rel=0.01)
    half = in_half(model)
    for _ in range(2):
        assert (half.dtype, half.logit_scale, half.logit_bias) == (torch.bfloat16, scale, bias)
        half = half.to(torch.float16).to("cpu").to(torch.bfloat16)
    assert (half.float().logit_scale, half.float().logit_bias) == (scale, bias)
    save_pretrained(model, tmp_path, dtype=torch.float16)
    assert load_model(tmp_path, device="cpu").logit_bias == bias


@pytest.mark.parametrize("temporal", ["mean", "attention", "transformer", *INSIDE])
def test_any_number_of_frames(made: Made, temporal: str) -> None:
    case = made.case
    if temporal in INSIDE and not case.inside:
        with pytest.raises(ModelError, match=f"'{temporal}' works inside vision transformers, and .* {case.tower}"):
            with_temporal(made.model, temporal)
        return
    if temporal == "transformer" and not case.grid:
        with pytest.raises(ModelError, match="no square grid of patch tokens; use the temporal transformer with"):
            with_temporal(made.model, temporal, {"layout": 2})
    options = {"layout": 2 if case.grid else 0, "width": 16} if temporal == "transformer" else None
    model = with_temporal(made.model, temporal, options)
    counts = (1, 2, 5)
    frames = clips(case, len(counts), max(counts))
    mask = torch.arange(max(counts))[None] < torch.tensor(counts)[:, None]
    with torch.inference_mode():
        together = model.encode_video(frames, mask)
        for row, count in enumerate(counts):
            alone = model.encode_video(frames[row : row + 1, :count])
            torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["PE-Core-T-16-384", "MobileCLIP-S1", "EVA02-B-16"])
def test_at_full_size(stock: Shop, architecture: str, tmp_path: Path) -> None:
    case = next(case for case in PUBLISHED if case.architecture == architecture)
    frames = clips(case, 1, 1)
    with stock.full_size(), torch.inference_mode():
        model = random_model(architecture, device="cpu")
        assert sum(p.numel() for p in model.parameters()) > 40e6
        encoded = model.encode_frames(frames)
        save_pretrained(model, tmp_path)
        again = load_video_clip(tmp_path, device="cpu", dtype="float32")
        assert torch.equal(encoded, again.encode_frames(frames))
        theirs = towers_of(model, OpenClipTowers).model.encode_image(frames[0], normalize=True)
    torch.testing.assert_close(encoded[0], theirs, rtol=0, atol=1e-5)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
