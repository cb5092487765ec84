"""Soft attributes with tiny language models and text towers of random weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize

from olmv.errors import ModelError, OutputError, WeightsUnavailableError
from olmv.models.hub import load_model
from olmv.models.soft_attributes import (
    LabelEmbeddings,
    LanguageModel,
    SoftAttributes,
    load_label_embeddings,
    load_language_model,
    save_label_embeddings,
    soft_text,
)
from olmv.models.towers import OpenClipTowers
from olmv.models.video_clip import VideoCLIP
from tests.tiny import OPEN_CLIP_CONFIG, tiny_model, write_open_clip_folder, write_tokenizer

LABELS = ["dog", "rain", "a car", "striped cat"]
SIZES = {"n_prefix": 4, "n_query": 3, "layers": 1}


def write_language_model(folder: Path, kind: str) -> Path:
    """A Llama, BERT or T5 of some kilobytes with a tokenizer of letters."""
    from transformers import (
        BertConfig,
        BertModel,
        LlamaConfig,
        LlamaForCausalLM,
        PreTrainedTokenizerFast,
        T5Config,
        T5Model,
    )

    folder.mkdir(parents=True)
    torch.manual_seed(1)
    model: Any
    if kind == "llama":
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=64, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
                num_key_value_heads=1, max_position_embeddings=64, initializer_range=0.2,
            )
        )  # fmt: skip
    elif kind == "bert":
        model = BertModel(
            BertConfig(
                vocab_size=64, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
                max_position_embeddings=64, initializer_range=0.2,
            ),
            add_pooling_layer=False,
        )  # fmt: skip
    else:
        model = T5Model(T5Config(vocab_size=64, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2))
    model.save_pretrained(folder)
    tokenizer = write_tokenizer(folder / "letters.json")
    PreTrainedTokenizerFast(tokenizer_file=str(tokenizer), pad_token="[PAD]").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def lm_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("lm")
    return {kind: write_language_model(root / kind, kind) for kind in ("llama", "bert", "t5")}


@pytest.fixture(scope="module", params=["llama", "bert"])
def lm(request: pytest.FixtureRequest, lm_folders: dict[str, Path]) -> LanguageModel:
    return load_language_model(lm_folders[request.param])


@pytest.fixture(scope="module")
def llama(lm_folders: dict[str, Path]) -> LanguageModel:
    return load_language_model(lm_folders["llama"])


def custom_text_clip() -> OpenClipTowers:
    """A text tower of its own module, pooled at the EOS that its config names."""
    import open_clip

    torch.manual_seed(3)
    text = OPEN_CLIP_CONFIG["text_cfg"] | {"pool_type": "eos", "eos_id": 49407}
    model = open_clip.CustomTextCLIP(16, OPEN_CLIP_CONFIG["vision_cfg"], text)
    return OpenClipTowers(model.eval().requires_grad_(False), open_clip.SimpleTokenizer(), {})


class SiglipTokenizer:
    """Ends in EOS and pads with it, without SOS; characters are tokens."""

    context_length = 20
    eos_token_id = 1

    def __call__(self, texts: list[str]) -> Tensor:
        rows = [[2 + ord(letter) % 60 for letter in text[:19]] for text in texts]
        return torch.tensor([row + [1] * (20 - len(row)) for row in rows])


def siglip() -> OpenClipTowers:
    """No causal mask, pooled at the last place."""
    import open_clip

    torch.manual_seed(4)
    text = OPEN_CLIP_CONFIG["text_cfg"] | {
        "pool_type": "last", "no_causal_mask": True, "proj_bias": True, "context_length": 20, "vocab_size": 64,
    }  # fmt: skip
    model = open_clip.CustomTextCLIP(16, OPEN_CLIP_CONFIG["vision_cfg"], text, init_logit_bias=-10.0)
    return OpenClipTowers(model.eval().requires_grad_(False), SiglipTokenizer(), {})


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> VideoCLIP:
    folder = write_open_clip_folder(tmp_path_factory.mktemp("clip") / "oc")
    return load_model(f"local-dir:{folder}", device="cpu", dtype="float32")


@pytest.fixture(params=["mini", "clip", "custom", "siglip"])
def towers(request: pytest.FixtureRequest, clip: VideoCLIP) -> Any:
    make: dict[str, Callable[[], Any]] = {
        "mini": lambda: tiny_model().towers, "clip": lambda: clip.towers, "custom": custom_text_clip, "siglip": siglip,
    }  # fmt: skip
    return make[request.param]()


def token_vectors(towers: Any, text: str) -> Tensor:
    """What the text tower's first layer reads of a text without special tokens, [1, Q, W]."""
    if hasattr(towers, "textual"):
        ids = torch.tensor([towers.tokenizer.encode(text).ids[1:-1]])
        out: Tensor = towers.textual.widen(towers.textual.tokens(ids))
        return out
    body = getattr(towers.model, "text", towers.model)
    if isinstance(towers.tokenizer, SiglipTokenizer):
        return body.token_embedding(towers.tokenizer([text])[:, : len(text)])  # type: ignore[no-any-return]
    return body.token_embedding(torch.tensor([towers.tokenizer.encode(text)]))  # type: ignore[no-any-return]


def opened(module: SoftAttributes) -> SoftAttributes:
    with torch.no_grad():
        module.gate.fill_(0.7)
    return module


# ---------------------------------------------------------------- through the text tower


@torch.no_grad()
def test_without_soft_tokens_a_text_is_encoded_as_ever(towers: Any) -> None:
    width = token_vectors(towers, "a").shape[-1]
    assert torch.equal(soft_text(towers, LABELS, torch.zeros(len(LABELS), 0, width)), towers.text(LABELS))


@torch.no_grad()
def test_soft_tokens_that_are_words_say_these_words(towers: Any) -> None:
    """So they stand behind the label, before EOS, and the pooling finds EOS behind them."""
    words = "cat" if hasattr(towers, "textual") or isinstance(towers.tokenizer, SiglipTokenizer) else "cat on a mat"
    whole = "dog" + words if isinstance(towers.tokenizer, SiglipTokenizer) else "dog " + words
    got = soft_text(towers, ["dog"], token_vectors(towers, words))
    torch.testing.assert_close(got, towers.text([whole]), rtol=0, atol=1e-6)


@torch.no_grad()
def test_a_label_past_the_context_makes_room_for_the_soft_tokens(towers: Any) -> None:
    long = "a car by the sea, " * 30
    soft = torch.randn(2, 3, token_vectors(towers, "a").shape[-1])
    one, other = soft_text(towers, [long, long], soft)
    assert one.isfinite().all()
    assert not torch.allclose(one, other)


def test_soft_text_leaves_no_trace_in_the_tower(towers: Any) -> None:
    before = towers.text(LABELS)
    soft_text(towers, LABELS, torch.randn(len(LABELS), 3, token_vectors(towers, "a").shape[-1]))
    assert torch.equal(towers.text(LABELS), before)


def test_soft_tokens_that_fill_the_context_are_refused(llama: LanguageModel) -> None:
    with pytest.raises(ModelError, match=r"15 soft tokens leave no room .* context of 16 tokens; use fewer queries"):
        SoftAttributes(tiny_model().towers, llama, n_query=15)


def test_text_towers_of_another_kind_are_refused(llama: LanguageModel) -> None:
    towers = custom_text_clip()
    towers.model.text.token_embedding = None  # as in open_clip's HFTextEncoder, which has none
    with pytest.raises(ModelError, match=r"cannot go into a text tower of class TextTransformer; use olmv-mini or"):
        soft_text(towers, ["dog"], torch.zeros(1, 2, 16))


def test_a_coca_text_tower_is_refused() -> None:
    import open_clip

    text = OPEN_CLIP_CONFIG["text_cfg"] | {"embed_cls": True}
    towers = custom_text_clip()
    towers.model = open_clip.CustomTextCLIP(16, OPEN_CLIP_CONFIG["vision_cfg"], text)
    with pytest.raises(ModelError, match="cannot go into a text tower"):
        soft_text(towers, ["dog"], torch.zeros(1, 2, 16))


def test_a_tokenizer_without_an_end_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    towers = siglip()
    monkeypatch.setattr(SiglipTokenizer, "eos_token_id", None)
    with pytest.raises(ModelError, match="without an end token; use another model"):
        soft_text(towers, ["dog"], torch.zeros(1, 2, 16))


# ---------------------------------------------------------------- the module


def test_with_its_gate_at_zero_it_is_exactly_clip(lm: LanguageModel, clip: VideoCLIP) -> None:
    for model in (tiny_model(), clip):
        made = SoftAttributes(model.towers, lm, **SIZES)
        assert torch.equal(made(LABELS).detach(), model.encode_texts(LABELS))
        assert torch.equal(made.precompute(LABELS), model.encode_texts(LABELS))
        assert not torch.equal(opened(made)(LABELS), model.encode_texts(LABELS))


@torch.no_grad()
def test_the_embedding_is_clip_plus_the_gated_soft_one(towers: Any, llama: LanguageModel) -> None:
    made = opened(SoftAttributes(towers, llama, **SIZES))
    clip = normalize(towers.text(LABELS), dim=-1)
    soft = normalize(soft_text(towers, LABELS, made.soft_tokens(LABELS)), dim=-1)
    torch.testing.assert_close(made(LABELS), normalize(clip + 0.7 * soft, dim=-1), rtol=0, atol=1e-5)


def test_gradients_reach_the_trained_parts_and_only_them(towers: Any, lm: LanguageModel) -> None:
    for _, weight in towers.text_parameters():
        weight.requires_grad_(True)
    made = opened(SoftAttributes(towers, lm, **SIZES))
    target = normalize(torch.randn(len(LABELS), towers.embed_dim), dim=-1)
    (made(LABELS) * target).sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name
    frozen = [*lm.model.parameters(), *(weight for _, weight in towers.text_parameters())]
    assert all(weight.grad is None and not weight.requires_grad for weight in frozen)
    kept = {id(parameter) for parameter in made.parameters()}
    assert not kept & {id(weight) for weight in frozen}


def test_a_zero_gate_can_be_trained_open(llama: LanguageModel) -> None:
    made = SoftAttributes(tiny_model().towers, llama, **SIZES)
    target = normalize(torch.randn(len(LABELS), 16, generator=torch.Generator().manual_seed(0)), dim=-1)
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        loss = 1 - (made(LABELS) * target).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.1
    assert float(made.gate.detach()) != 0


@torch.no_grad()
def test_a_label_alone_is_as_in_a_batch(towers: Any, lm: LanguageModel) -> None:
    made = opened(SoftAttributes(towers, lm, **SIZES))
    together = made(LABELS)
    for label, row in zip(LABELS, together, strict=True):
        made._clip.clear()
        torch.testing.assert_close(made([label])[0], row, rtol=0, atol=1e-5)
    torch.testing.assert_close(made.precompute(LABELS, batch_size=2), together, rtol=0, atol=1e-5)


def test_shapes_and_lengths(llama: LanguageModel) -> None:
    towers = tiny_model().towers
    made = SoftAttributes(towers, llama, **SIZES)
    soft = made.soft_tokens(LABELS)
    assert soft.shape == (4, 3, 16)
    table = towers.textual.widen(towers.textual.tokens.weight)
    torch.testing.assert_close(soft.norm(dim=-1), table.norm(dim=-1).mean().expand(4, 3))
    assert made([]).shape == made.precompute([]).shape == (0, 16)
    out = opened(made).precompute(LABELS)
    assert not out.requires_grad
    torch.testing.assert_close(out.norm(dim=-1), torch.ones(4))


def test_labels_no_tokenizer_can_read_have_an_embedding(lm: LanguageModel) -> None:
    made = opened(SoftAttributes(tiny_model().towers, lm, **SIZES))
    assert made.precompute(["", "犬", "x" * 5000]).isfinite().all()


def test_the_text_tower_encodes_a_label_once(llama: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    towers = tiny_model().towers
    made = SoftAttributes(towers, llama, **SIZES)
    seen: list[str] = []
    text = towers.text
    monkeypatch.setattr(towers, "text", lambda texts: seen.extend(texts) or text(texts))
    made(["dog", "rain", "dog"])
    made(["rain", "car"])
    assert sorted(seen) == ["car", "dog", "rain"]


def test_labels_first_seen_in_inference_mode_can_be_trained_on(llama: LanguageModel) -> None:
    made = opened(SoftAttributes(tiny_model().towers, llama, **SIZES))
    with torch.inference_mode():
        made(LABELS)
    made(LABELS).sum().backward()
    assert made.prefixes.grad is not None


# ---------------------------------------------------------------- the language model


def test_a_language_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsUnavailableError, match=r"cannot be had .*; get on line once, or name a folder"
    ) as caught:
        load_language_model(tmp_path / "none")
    assert "\n" not in str(caught.value)


def test_weights_that_are_no_safetensors_are_refused(lm_folders: dict[str, Path], tmp_path: Path) -> None:
    for file in lm_folders["bert"].iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(load_file(lm_folders["bert"] / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsUnavailableError, match="safetensors"):
        load_language_model(tmp_path)


def test_missing_weights_are_not_made_up(lm_folders: dict[str, Path], tmp_path: Path) -> None:
    for file in lm_folders["bert"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights such as encoder\.layer\.1\.output.*; download it again"):
        load_language_model(tmp_path)


def test_an_encoder_decoder_is_refused(lm_folders: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="is an encoder-decoder; use a decoder or an encoder"):
        load_language_model(lm_folders["t5"])


def test_too_many_prefixes_are_refused(llama: LanguageModel) -> None:
    with pytest.raises(
        ModelError, match=r"62 prefixes leave no room for a label in the 64 positions .* fewer prefixes"
    ):
        SoftAttributes(tiny_model().towers, llama, n_prefix=62)


# ---------------------------------------------------------------- saving


def test_saved_soft_attributes_load_the_same(lm_folders: dict[str, Path], tmp_path: Path) -> None:
    model = tiny_model()
    made = opened(SoftAttributes(model.towers, load_language_model(lm_folders["bert"]), **SIZES))
    made.save(tmp_path / "soft")
    assert {file.name for file in (tmp_path / "soft").iterdir()} == {
        "soft_attributes.json", "soft_attributes.safetensors",
    }  # fmt: skip
    again = SoftAttributes.load(tmp_path / "soft", model.towers)
    assert torch.equal(again.precompute(LABELS), made.precompute(LABELS))


def test_saved_soft_attributes_that_do_not_fit(
    llama: LanguageModel, lm_folders: dict[str, Path], tmp_path: Path
) -> None:
    towers = tiny_model().towers
    SoftAttributes(towers, llama, **SIZES).save(tmp_path)
    config = tmp_path / "soft_attributes.json"
    described = json.loads(config.read_text())
    with pytest.raises(ModelError, match=r"were trained with the language model .*; name that one"):
        SoftAttributes.load(tmp_path, towers, language_model=load_language_model(lm_folders["bert"]))
    config.write_text(json.dumps(described | {"text_width": 512}))
    with pytest.raises(ModelError, match="width 512 and dimension 16, not 16 and 16; load them with the model"):
        SoftAttributes.load(tmp_path, towers, language_model=llama)
    config.write_text(json.dumps(described | {"sizes": {"n_prefix": 5, "n_query": 3, "layers": 1}}))
    with pytest.raises(ModelError, match=r"do not fit: .*; train again"):
        SoftAttributes.load(tmp_path, towers, language_model=llama)
    config.write_text(json.dumps(described | {"format": "other"}))
    with pytest.raises(ModelError, match=r"not of format olmv-soft-attributes/1; is .* a folder that olmv saved"):
        SoftAttributes.load(tmp_path, towers, language_model=llama)
    for wrong in ("[]", "{", '{"format": "olmv-soft-attributes/1"}'):
        config.write_text(wrong)
        with pytest.raises(ModelError, match=r"cannot be read: .*; train soft attributes again"):
            SoftAttributes.load(tmp_path, towers, language_model=llama)
    config.write_text(json.dumps(described))
    (tmp_path / "soft_attributes.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelError, match=r"cannot be read: .*; write it again"):
        SoftAttributes.load(tmp_path, towers, language_model=llama)


def test_a_folder_that_cannot_be_made(llama: LanguageModel, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot make the folder .*; choose another"):
        SoftAttributes(tiny_model().towers, llama, **SIZES).save(tmp_path / "file")


def test_label_embeddings_round_trip(tmp_path: Path) -> None:
    labels = ["dog", "Straße", "犬"]
    embeddings = normalize(torch.randn(3, 16), dim=-1)
    assert load_label_embeddings(tmp_path) is None
    save_label_embeddings(tmp_path / "m", labels, embeddings, source={"language_model": "x", "n_prefix": 4})
    loaded = load_label_embeddings(tmp_path / "m")
    assert loaded is not None
    assert loaded.labels == tuple(labels)
    assert torch.equal(loaded.embeddings, embeddings)
    assert loaded.source == {"language_model": "x", "n_prefix": 4}
    known, found = loaded.lookup(["犬", "Dog", "dog"])
    assert known.tolist() == [True, False, True]
    assert torch.equal(found, torch.stack([embeddings[2], torch.zeros(16), embeddings[0]]))
    assert loaded.lookup([])[1].shape == (0, 16)
    assert repr(loaded) == "LabelEmbeddings(labels=3, embeddings=[3, 16])"


def test_label_embeddings_that_cannot_be() -> None:
    unit = torch.eye(2)
    with pytest.raises(ModelError, match=r"1 labels and embeddings .* do not fit each other; give"):
        LabelEmbeddings(("a",), unit)
    with pytest.raises(ModelError, match="the label 'a' has two embeddings; give every label once"):
        LabelEmbeddings(("a", "a"), unit)
    for wrong in (2 * unit, unit * torch.nan):
        with pytest.raises(ModelError, match="not a unit vector; compute label embeddings again"):
            LabelEmbeddings(("a", "b"), wrong)


def test_broken_label_files(tmp_path: Path) -> None:
    save_label_embeddings(tmp_path, ["a", "b"], torch.eye(2))
    listed, weights = tmp_path / "labels.json", tmp_path / "label_embeddings.safetensors"
    described = json.loads(listed.read_text())
    listed.write_text(json.dumps(described | {"labels": ["b", "a"]}))
    with pytest.raises(ModelError, match=r"is not of the labels in labels\.json; compute"):
        load_label_embeddings(tmp_path)
    for other in ({"format": "other"}, {"labels": "ab"}, {"labels": [1, 2]}, {"source": 3}):
        listed.write_text(json.dumps(described | other))
        with pytest.raises(ModelError, match="not of format olmv-labels/1; compute"):
            load_label_embeddings(tmp_path)
    for wrong in ("{", "[]", "{}", '{"format": "olmv-labels/1", "labels": 3}'):
        listed.write_text(wrong)
        with pytest.raises(ModelError, match=r"labels\.json cannot be read: .*; compute"):
            load_label_embeddings(tmp_path)
    listed.unlink()
    with pytest.raises(ModelError, match=r"labels\.json cannot be read"):
        load_label_embeddings(tmp_path)
    listed.write_text(json.dumps(described))
    weights.write_bytes(b"torn")
    with pytest.raises(ModelError, match=r"cannot be read: .*; write it again"):
        load_label_embeddings(tmp_path)
    weights.unlink()
    with pytest.raises(ModelError, match=r"cannot be read: .*; write it again"):
        load_label_embeddings(tmp_path)
