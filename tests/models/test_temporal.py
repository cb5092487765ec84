from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from olmv.classifier import Classifier
from olmv.errors import ModelError, UsageError
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.positions import TABLE_SIZE, time_positions
from olmv.models.clip.temporal import IN_TOWER, AttentionPool, FrameTransformer, MeanPool, new_parameters, to_cells
from olmv.models.registry import load_model, load_video_clip
from olmv.models.storage.saving import save_pretrained
from tests.models.kinds import TRANSFORMERS, blocks_of, clips, make, randomise, tiny_timm  # noqa: F401

pytestmark = pytest.mark.usefixtures("tiny_timm")
MODULES: list[tuple[str, dict[str, Any]]] = [
    ("mean", {}),
    ("attention", {}),
    ("transformer", {"layers": 1}),
    ("transformer", {"width": 24, "heads": 3, "layout": 2, "cell": 4}),
    ("cross-frame", {"edges": "mask"}),
    ("divided", {}),
    ("st-adapter", {"kernel": 5}),
]


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 1000))
def test_fresh_attention_equals_frame_averaging(batch: int, time: int, seed: int) -> None:
    frames = normalize(torch.randn(batch, time, 8, generator=torch.Generator().manual_seed(seed)), dim=-1)
    torch.testing.assert_close(AttentionPool(8)(frames), MeanPool()(frames))


@pytest.mark.parametrize("pool", [MeanPool(), AttentionPool(8)])
def test_padded_embeddings_change_no_pool(pool: Any) -> None:
    torch.manual_seed(0)
    if isinstance(pool, AttentionPool):
        torch.nn.init.ones_(pool.gate)
    frames = normalize(torch.randn(2, 5, 8), dim=-1)
    padded = torch.cat([frames, torch.randn(2, 3, 8)], dim=1)
    mask = torch.arange(8)[None].expand(2, 8) < 5
    torch.testing.assert_close(pool(padded, mask), pool(frames, None))


def test_attention_prefers_the_frames_its_query_asks_for() -> None:
    torch.manual_seed(0)
    pool = AttentionPool(8)
    with torch.no_grad():
        pool.gate.fill_(50.0)
    frames = normalize(torch.randn(1, 6, 8), dim=-1)
    weights = pool.weights(frames)
    assert weights.sum().item() == pytest.approx(1.0)
    assert weights.max().item() > 0.5


@given(st.integers(1, 40), st.integers(0, 9))
def test_positions_span_the_real_frames(time: int, padding: int) -> None:
    table = torch.arange(TABLE_SIZE, dtype=torch.float32)[:, None]
    mask = (torch.arange(time + padding) < time)[None]
    plain = time_positions(table, time)[0, :, 0]
    torch.testing.assert_close(time_positions(table, time + padding, mask)[0, :time, 0], plain)
    torch.testing.assert_close(plain, ((torch.arange(time) + 0.5) / time * TABLE_SIZE - 0.5).clamp(0, TABLE_SIZE - 1))
    if time == TABLE_SIZE:
        assert torch.equal(plain, table[:, 0])


@pytest.mark.parametrize("kind", [*TRANSFORMERS, "resnet"])
@pytest.mark.parametrize("temporal", ["attention", "transformer", "divided", "st-adapter"])
def test_closed_gates_are_frame_averaging(kind: str, temporal: str) -> None:
    if kind == "resnet" and temporal in IN_TOWER:
        pytest.skip("has no attention blocks")
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    model, plain = make(kind, temporal=temporal), make(kind)
    frames = clips(2, 4)
    torch.testing.assert_close(model.encode_frames(frames, mask), plain.encode_frames(frames), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(model.encode_video(frames, mask), plain.encode_video(frames, mask), atol=1e-6, rtol=1e-5)
    opened = randomise(model).encode_video(frames, mask)
    # a random ResNet gives all frames nearly the same embedding, so weighting them changes next to nothing
    assert kind == "resnet" or (opened - plain.encode_video(frames, mask)).abs().max() > 1e-5


@pytest.mark.parametrize("kind", list(TRANSFORMERS))
def test_a_layout_starts_at_frame_averaging_too(kind: str) -> None:
    model, plain = make(kind, temporal="transformer", options={"layout": 2}), make(kind)
    frames = clips(1, 3)
    torch.testing.assert_close(model.encode_frames(frames), plain.encode_frames(frames), atol=1e-6, rtol=1e-5)
    features = model.encode_stills(frames)
    assert features.tokens is not None
    assert features.tokens.shape == (1, 3, 4, 32)


def test_frames_that_are_kept_stand_before_the_others() -> None:
    model = randomise(make("mini", temporal="transformer", options={"keep": True}))
    plain, other = make("mini"), make("mini", temporal="transformer")
    other.load_state_dict(model.state_dict())
    frames = clips(2, 4)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    plain.towers.load_state_dict(model.towers.state_dict())
    rows = model.encode_frames(frames, mask)
    assert rows.shape == (2, 8, model.embed_dim)
    torch.testing.assert_close(rows[:, :4], plain.encode_frames(frames), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(rows[:, 4:], other.encode_frames(frames, mask), atol=1e-6, rtol=1e-5)
    of_rows = model.row_mask(mask)
    assert of_rows is not None
    assert of_rows.tolist() == [[True] * 8, [True, True, False, False] * 2]
    assert other.row_mask(mask) is mask
    alone = model.encode_video(frames[1:, :2])
    torch.testing.assert_close(model.encode_video(frames, mask)[1:], alone, atol=1e-5, rtol=1e-4)


def test_tokens_are_averaged_where_they_lie() -> None:
    tokens = torch.arange(16.0).view(1, 16, 1)  # a 4 x 4 grid, row by row
    assert to_cells(tokens, 2)[0, :, 0].tolist() == [2.5, 4.5, 10.5, 12.5]


@pytest.mark.parametrize(("temporal", "options"), MODULES)
@pytest.mark.parametrize("kind", ["mini", "open_clip", "pe"])
def test_padding_and_batch_mates_change_nothing(kind: str, temporal: str, options: dict[str, Any]) -> None:
    model = randomise(make(kind, temporal=temporal, options=options))
    frames = clips(3, 4)
    lengths = (4, 2, 1)
    mask = torch.arange(4)[None] < torch.tensor(lengths)[:, None]
    together = model.encode_frames(frames, mask)
    for row, length in enumerate(lengths):
        alone = model.encode_frames(frames[row : row + 1, :length])
        torch.testing.assert_close(together[row, :length], alone[0], atol=1e-5, rtol=1e-4)
        pooled = model.pool_frames(alone)[0]
        torch.testing.assert_close(model.pool_frames(together, mask)[row], pooled, atol=1e-5, rtol=1e-4)
    assert model.mixes_frames == (temporal in ("transformer", *IN_TOWER))
    assert model.encodes_stills == (temporal not in IN_TOWER)
    assert model.yields_video_embedding == (temporal == "attention")


@pytest.mark.parametrize(("temporal", "options"), MODULES)
def test_stills_can_be_kept(temporal: str, options: dict[str, Any]) -> None:
    model = randomise(make("open_clip", temporal=temporal, options=options))
    frames, mask = clips(2, 3), torch.tensor([[True, True, True], [True, True, False]])
    again = model.contextualise(model.encode_stills(frames, mask), mask)
    assert torch.equal(again, model.encode_frames(frames, mask))
    torch.testing.assert_close(again.norm(dim=-1), torch.ones(2, 3))


@pytest.mark.parametrize(("temporal", "options"), MODULES)
@pytest.mark.parametrize("kind", ["mini", "open_clip", "siglip"])
def test_a_saved_model_loads_the_same(tmp_path: Path, kind: str, temporal: str, options: dict[str, Any]) -> None:
    model = randomise(make(kind, temporal=temporal, options=options))
    save_pretrained(model, tmp_path)
    again = load_video_clip(tmp_path, device="cpu", dtype="float32")
    assert (again.temporal, again.temporal_options) == (temporal, model.temporal_options)
    assert torch.equal(again.encode_video(clips()), model.encode_video(clips()))
    plain = load_video_clip(tmp_path, device="cpu", dtype="float32", temporal="mean")
    torch.testing.assert_close(plain.encode_video(clips()), make(kind).encode_video(clips()))


@pytest.mark.parametrize("temporal", ["attention", "transformer", "divided", "st-adapter"])
def test_another_module_or_other_options_start_afresh(tmp_path: Path, temporal: str) -> None:
    save_pretrained(randomise(make("mini", temporal="transformer")), tmp_path)
    options = {"layers": 1} if temporal == "transformer" else None
    model = load_video_clip(tmp_path, device="cpu", dtype="float32", temporal=temporal, temporal_options=options)
    torch.testing.assert_close(model.encode_video(clips()), make("mini").encode_video(clips()), atol=1e-6, rtol=1e-5)
    assert all(p == 0 for n, p in model.named_parameters() if n.endswith("gate"))
    if temporal == "divided":
        block = blocks_of(model)[0]
        assert torch.equal(block.temporal.attn.in_proj_weight, block.attn.in_proj_weight)
    same = load_video_clip(
        tmp_path, device="cpu", dtype="float32", temporal="transformer", temporal_options={"layers": 2}
    )
    assert same.context is not None
    assert same.context.gate == 1


def test_a_folder_of_an_earlier_version_has_no_options(tmp_path: Path) -> None:
    save_pretrained(make("mini", temporal="cross-frame"), tmp_path)
    config = tmp_path / "config.json"
    text = config.read_text()
    without = text.replace('"temporal_options": {\n  "edges": "zero"\n },\n', "")
    assert without != text
    config.write_text(without.replace("olmv-model/2", "olmv-model/1"))
    assert load_model(tmp_path, device="cpu").temporal_options == {"edges": "zero"}


@pytest.mark.parametrize(("temporal", "options"), MODULES)
def test_gradients_reach_every_new_parameter(temporal: str, options: dict[str, Any]) -> None:
    model = randomise(make("open_clip", temporal=temporal, options=options)).requires_grad_(True)
    own = new_parameters(model)
    assert bool(own) == (temporal not in ("mean", "cross-frame"))
    torch.autograd.backward((model.encode_video(clips(1, 3)) @ torch.randn(16)).sum())
    named = dict(model.named_parameters())
    for name in own:
        gradient = named[name].grad
        assert gradient is not None, name
        assert gradient.abs().sum() > 0 or not name.endswith(("gate", "positions")), name
    fresh = make("open_clip", temporal=temporal, options=options).requires_grad_(True)
    torch.autograd.backward((fresh.encode_video(clips(1, 3)) @ torch.randn(16)).sum())
    gates = [p for n, p in fresh.named_parameters() if n in own and n.endswith("gate")]
    assert all(gate.grad is not None and gate.grad != 0 for gate in gates)


@pytest.mark.parametrize(("temporal", "options"), MODULES)
@pytest.mark.parametrize("kind", ["mini", "pe"])
def test_bfloat16_weights(kind: str, temporal: str, options: dict[str, Any]) -> None:
    model = randomise(make(kind, temporal=temporal, options=options))
    frames, mask = clips(), torch.tensor([[True, True, True], [True, False, False]])
    full = model.encode_video(frames, mask)
    half = model.to(torch.bfloat16).encode_video(frames.bfloat16(), mask)
    assert half.dtype == torch.bfloat16
    assert torch.nn.functional.cosine_similarity(full, half.float()).min() > 0.99


@pytest.mark.parametrize("temporal", ["transformer", *IN_TOWER])
def test_the_classifier_pools_frames_of_mixed_videos(temporal: str) -> None:
    model: VideoCLIP = randomise(make("mini", temporal=temporal))
    classifier = Classifier(model)
    pixels = [torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8) for n in (3, 1, 2)]
    with torch.inference_mode():
        together = [embedding.rows for embedding in classifier.embed_clips(pixels, batch_size=4)]
        for one, video in zip(together, pixels, strict=True):
            assert one.shape == (len(video), model.embed_dim)
            alone = classifier.embed_clips([video], batch_size=4)[0].rows
            torch.testing.assert_close(alone, one, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        classifier.embed_video(pixels[0]), normalize(together[0].mean(0), dim=0), atol=1e-5, rtol=1e-4
    )


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown temporal module 'median'; choose from mean, attention, transformer"):
        make("mini", temporal="median")
    with pytest.raises(UsageError, match="unknown option 'depth' of temporal module 'transformer'; choose from layers"):
        load_model("olmv-mini", temporal="transformer", temporal_options={"depth": 2})
    with pytest.raises(UsageError, match="unknown option 'layers' of temporal module 'mean'; it has none"):
        load_model("olmv-mini", temporal="mean", temporal_options={"layers": 2})
    with pytest.raises(UsageError, match="keep of the temporal transformer is 1; it is true or false"):
        make("mini", temporal="transformer", options={"keep": 1})
    with pytest.raises(UsageError, match="layers of the temporal transformer is 0; give a whole number from 1 to 64"):
        make("mini", temporal="transformer", options={"layers": 0})
    for key, most in (("layers", 64), ("width", 65536), ("heads", 1024), ("layout", 64), ("cell", 4096)):
        with pytest.raises(UsageError, match=rf"{key} of the temporal transformer is 1000.*; give .* to {most}"):
            make("mini", temporal="transformer", options={key: 10**40})
    with pytest.raises(UsageError, match=r"edges is \{\}; choose from zero, mask"):
        make("mini", temporal="cross-frame", options={"edges": {}})
    with pytest.raises(UsageError, match="a transformer of width 16 cannot have 3 heads; choose a divisor"):
        FrameTransformer(16, heads=3)
    with pytest.raises(ModelError, match=r"ModifiedResNet has no square grid of patch tokens; use .* layout 0"):
        make("resnet", temporal="transformer", options={"layout": 2})
    with pytest.raises(ModelError, match="layout of 3 x 3 is finer than the 2 x 2 patches of VisionTransformer"):
        make("open_clip", temporal="transformer", options={"layout": 3})
