"""Write olmv-mini's model card from its evaluation, so that no figure is typed by hand.

python scripts/benchmarks/eval_mini.py --model runs/mini/stills --json runs/mini/eval_stills.json
python scripts/benchmarks/eval_mini.py --json runs/mini/eval.json
python scripts/research/mini_card.py
"""

import argparse
import json
from pathlib import Path
from typing import Any

import yaml

from olmv.moji.world import MOTIONS, object_names, paraphrases, scene_labels

CARD = """# olmv-mini

A small video CLIP that ships with olmv, for trying the whole system before any download, for tests, and as a
laboratory. **It knows emoji-like drawings, not footage.** On real videos its answers mean nothing; use one of the
models that `olmv models list` names.

## What it is

- Image tower: 64x64 px, three stride-2 convolutions and a residual one, three transformer layers of width 192,
  maximum and mean over 64 tokens. Text tower: WordPiece, factorised token embeddings, three layers of width 256.
  Temporal module: `transformer`, two layers of width 256 over the frames, each given as its embedding and its 8 x 8
  patch tokens; its rows stand beside those of the frames, which stay as they are, so any frame pooling still applies;
  `softmax` is the one it was trained with. Embeddings of {dim} numbers, {parameters:.1f} million parameters, saved in
  float16.
- Trained with a sigmoid loss: probabilities are its own (scale {scale:.1f}, bias {bias:.1f}).
- This is the second version. With `temporal="mean"` it is the first, which knows no motions.

## Data

The Moji world, drawn by code (`olmv/moji/world.py`): one to three objects (renderings of Noto Color Emoji, OFL-1.1)
that move over plain, gradient, striped, checkered or noisy backgrounds, dry, in rain or in snow. {seen} objects are
seen in training, {unseen} never; one in ten pairings of object and motion is kept out as well. Names are Unicode's
CLDR short names.

The text tower was distilled from the sentence encoder all-MiniLM-L6-v2 (Apache-2.0) over WordNet 3.0's nouns and
glosses, adjective-noun pairs, the objects' names and sentences of the world. Vectors of a WordNet noun were drawn
towards the synonyms of its most frequent sense. So the words of the paraphrase list may be known as words (they
were never
paired with a picture, and the list itself was not trained on).

## Recipe

`scripts/research/train_mini.py`, two CPU cores, bf16 with fp32 master weights, AdamW, cosine schedule, moving
average of weights. Text: {text_steps} steps of {text_batch}. Image: {vision_steps} steps of {vision_batch} single
frames, one object first, then up to two, then up to three; a softmax of every present object against all absent ones,
the same over backgrounds, and a sigmoid over all labels.

Then motions, with the package's own trainer and the config that ships (`olmv train moji_motions`): both towers frozen,
the temporal transformer learns all labels from {motion_clips} clips of 8 frames in {motion_steps} steps of
{motion_batch}; and once more, its rows now beside the frames, from {second_clips} other clips, now and then with fewer
frames, in {second_steps} steps, of which the mean over epochs is kept. Distilled from a sentence encoder, "moving left"
and "moving right" were almost one vector, so the text tower's memory got a row for every motion: the orthogonal set
nearest to the words' own vectors, three quarters as long as other rows, so that no other word is drawn to them.

## Figures

`scripts/benchmarks/eval_mini.py`, {clips} fresh clips from seeds that training never used, 8 frames, frame pooling
`{frame_pooling}` unless the row says otherwise; macro mean average precision. The first version on the same clips
beside it.

| figure | value | first version | what it says |
|---|---|---|---|
{rows}

## Limits

Drawings only; 64 px, so small objects are lost; near twins (a bus and a minibus) are confused; a turn, a shake or a
bounce between two of eight frames goes unseen; a label far from any drawn object gets a probability all the same. The
text tower reads 40 tokens of English.
"""
MEANING = {
    "seen_map": "objects seen in training, 1-3 a clip, all {seen} as labels",
    "seen_map/1_objects": "of these, clips with one object",
    "seen_map/2_objects": "two",
    "seen_map/3_objects": "three",
    "seen_map/mean": "all, frames averaged",
    "seen_map/max": "all, best frame",
    "scene_map": "backgrounds and weather, {scenes} labels",
    "paraphrase_map": "{paraphrases} objects under other names (automobile: car)",
    "paraphrase_names_map": "the same objects under their own names",
    "pairing_map": "pairings of object and motion never seen together",
    "brief_map/mean": "objects shown in a quarter of the frames, frames averaged",
    "brief_map/max": "the same, best frame",
    "brief_map/softmax": "the same, each label attends to its frames",
    "unseen_top1": "one object never drawn in training, among the {unseen}: top-1",
    "unseen_chance": "chance of that",
    "motion_map": "motions, {motions} labels (chance {chance:.3f})",
}


def card(evaluation: dict[str, Any], before: dict[str, Any], work: Path, folder: Path) -> str:
    """The card as Markdown."""
    from safetensors.torch import load_file

    figures, settings = evaluation["figures"], evaluation["settings"]
    weights = load_file(folder / "model.safetensors")
    text = json.loads((work / "text.json").read_text(encoding="utf-8"))
    vision = json.loads((work / "vision.json").read_text(encoding="utf-8"))
    counts = {
        "seen": len(object_names("seen")),
        "unseen": len(object_names("unseen")),
        "paraphrases": len(paraphrases()),
        "scenes": len(scene_labels()),
        "motions": len(MOTIONS),
        "chance": figures["motion_chance"],
    }
    (clips, batch, steps), (again, _, more) = (run_size(work / name) for name in ("motions", "second"))
    rows = [
        f"| `{k}` | {figures[k]:.3f} | {before['figures'][k]:.3f} | {said.format(**counts)} |"
        for k, said in MEANING.items()
        if k in figures
    ]
    return CARD.format(
        dim=json.loads((folder / "config.json").read_text(encoding="utf-8"))["embed_dim"],
        parameters=sum(w.numel() for w in weights.values()) / 1e6,
        scale=weights["towers.log_scale"].float().exp().item(),
        bias=weights["towers.logit_bias"].float().item(),
        text_steps=text["steps"],
        text_batch=text["batch"],
        vision_steps=vision["steps"],
        vision_batch=vision["batch"],
        clips=settings["clips"],
        frame_pooling=settings["frame_pooling"],
        motion_clips=clips,
        motion_batch=batch,
        motion_steps=steps,
        second_clips=again,
        second_steps=more,
        rows="\n".join(rows),
        **counts,
    )


def run_size(folder: Path) -> tuple[int, int, int]:
    """Clips an epoch, clips a step, and steps of a training run."""
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    clips, batch = config["data"]["train"]["moji"]["clips"], config["optimizer"]["batch_size"]
    return clips, batch, -(-clips // batch) * config["optimizer"]["epochs"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluation", type=Path, default=Path("runs/mini/eval.json"))
    parser.add_argument("--before", type=Path, default=Path("runs/mini/eval_stills.json"))
    parser.add_argument("--work", type=Path, default=Path("runs/mini"))
    parser.add_argument("--folder", type=Path, default=Path("olmv/models/olmv-mini"))
    args = parser.parse_args()
    evaluation, before = (json.loads(p.read_text(encoding="utf-8")) for p in (args.evaluation, args.before))
    (args.folder / "README.md").write_text(card(evaluation, before, args.work, args.folder), encoding="utf-8")


if __name__ == "__main__":
    main()
