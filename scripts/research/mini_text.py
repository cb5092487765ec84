"""The text stage of `train_mini.py`: distils a sentence encoder into olmv-mini's own small text tower."""

import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from olmv.models.mini.network import MiniConfig, MiniTextTower
from olmv.models.mini.towers import MiniTowers
from olmv.moji.world import object_names, sample_scene, scene_labels
from scripts.research.mini_targets import Targets, Teacher, WordNet
from scripts.research.mini_trainer import BF16Trainer, save

TEMPLATES = ("a video of {}.", "a photo of {}.", "a video of a {}.", "a picture of the {}.", "{} in a video")
# how often a text of each kind is drawn
SHARES = {"names": 0.25, "nouns": 0.45, "pairs": 0.1, "glosses": 0.1, "sentences": 0.1}
SHARES_LATER = {"names": 0.12, "nouns": 0.63, "pairs": 0.1, "glosses": 0.1, "sentences": 0.05}


def corpus(wordnet: WordNet) -> dict[str, list[str]]:
    """Texts by kind. Paraphrases of the evaluation are not added; single words among them may be in WordNet."""
    rng = random.Random(0)
    names = [*object_names("seen"), *object_names("unseen"), *scene_labels()]
    common: list[str] = []
    rare: list[str] = []
    for line in (Path("/usr/share/wordnet") / "index.noun").read_text(encoding="utf-8").splitlines():
        if line.startswith(" "):
            continue
        fields = line.split()
        tagged = int(fields[5 + int(fields[3])]) > 0  # met in WordNet's tagged texts
        (common if tagged else rare).append(fields[0].replace("_", " "))
    rare = [w for w in rare if w.count(" ") < 3 and not any(c.isdigit() for c in w)]
    nouns = common + rng.sample(rare, min(40000, len(rare)))
    adjectives, verbs = wordnet.words("adj"), wordnet.words("verb")
    pairs = [f"{rng.choice(adjectives)} {rng.choice(common)}" for _ in range(15000)]
    pairs += [f"{rng.choice(common)} {rng.choice(common)}" for _ in range(8000)]
    pairs += rng.sample(adjectives, min(6000, len(adjectives))) + rng.sample(verbs, min(6000, len(verbs)))
    colours = [label.split()[0] for label in scene_labels()[:11]]
    pairs += [f"{c} {n}" for c in colours for n in rng.sample(names, 200)]
    glosses = list(dict.fromkeys(wordnet.first_sense[w].gloss for w in common if w in wordnet.first_sense))
    glosses = [g for g in glosses if len(g.split()) <= 20][:18000]
    scenes = [sample_scene(9, i, names=object_names("seen")) for i in range(9000)]
    return {
        "names": names,
        "nouns": nouns,
        "pairs": pairs,
        "glosses": glosses,
        "sentences": [s.sentence for s in scenes],
    }


def small_tokenizer(teacher: Teacher, texts: list[str], length: int) -> tuple[Tokenizer, list[int]]:
    """The teacher's WordPiece tokenizer with only the pieces that the corpus or plain spelling needs.

    Returns the tokenizer and, for every kept piece, its id in the teacher's vocabulary.
    """
    spec: dict[str, Any] = json.loads(teacher.tokenizer.backend_tokenizer.to_str())
    full = Tokenizer.from_str(json.dumps({**spec, "padding": None, "truncation": None}))
    used: Counter[int] = Counter()
    for encoding in full.encode_batch(texts, add_special_tokens=True):
        used.update(encoding.ids)
    vocabulary: dict[str, int] = spec["model"]["vocab"]
    special = {t["content"] for t in spec["added_tokens"]}
    kept = [
        (piece, i) for piece, i in sorted(vocabulary.items(), key=lambda item: item[1])
        if i in used or piece in special or (len(piece.removeprefix("##")) == 1 and piece.isascii())
    ]  # fmt: skip
    new = {piece: k for k, (piece, _) in enumerate(kept)}
    spec["model"]["vocab"] = new
    for token in spec["added_tokens"]:
        token["id"] = new[token["content"]]
    spec["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {t: {"id": t, "ids": [new[t]], "tokens": [t]} for t in ("[CLS]", "[SEP]")},
    }
    spec["padding"] = spec["truncation"] = None
    return Tokenizer.from_str(json.dumps(spec)), [i for _, i in kept]


def encode(tokenizer: Tokenizer, texts: list[str], length: int) -> tuple[Tensor, Tensor]:
    """Token ids [A, L] and mask [A, L]."""
    rows = [e.ids[:length] for e in tokenizer.encode_batch(texts)]
    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = True
    return ids, mask


def prepare(work: Path) -> dict[str, Any]:
    """Texts, their target vectors, tokenizer and first token embeddings; computed once."""
    path = work / "text_data.pt"
    if path.exists():
        loaded: dict[str, Any] = torch.load(path, weights_only=False)  # our own, written below
        return loaded
    teacher, wordnet = Teacher(), WordNet()
    config = MiniConfig()
    targets = Targets(teacher, wordnet, config.embed_dim)
    texts = corpus(wordnet)
    print({k: len(v) for k, v in texts.items()}, flush=True)
    tokenizer, pieces = small_tokenizer(teacher, [t for kind in texts.values() for t in kind], config.context_length)
    table = teacher.model.embeddings.word_embeddings.weight.detach().float()[pieces]
    table = table - table.mean(0)
    _, _, directions = torch.linalg.svd(table, full_matrices=False)
    first = table @ directions[: config.token_dim].T
    vectors = {}
    for kind, lines in texts.items():
        started = time.perf_counter()
        vectors[kind] = targets(lines).half()
        print(f"targets of {len(lines)} {kind} in {time.perf_counter() - started:.0f} s", flush=True)
    data: dict[str, Any] = {
        "texts": texts, "vectors": vectors, "tokenizer": tokenizer.to_str(), "first": first / first.std() * 0.05,
    }  # fmt: skip
    save(path, data)
    return data


def text_towers(final: Path, memory: Tensor | None = None) -> MiniTowers:
    """olmv-mini with the trained text tower and a fresh image tower; `memory` [M, D] as in `MiniTextTower`."""
    saved = torch.load(final, weights_only=True)
    tokenizer_file = final.with_name("tokenizer.json")
    tokenizer_file.write_text(saved["tokenizer"], encoding="utf-8")
    size = 0 if memory is None else len(memory)
    towers = MiniTowers(MiniConfig(vocab_size=saved["vocab_size"], memory_size=size), tokenizer_file)
    state = {k: v.detach().float() for k, v in saved["state"].items()}
    towers.textual.load_state_dict({**state, "memory": towers.textual.memory if memory is None else memory})
    return towers.eval()


def train_text(work: Path, minutes: float, batch: int = 384) -> None:
    data = prepare(work)
    shares = SHARES
    if (work / "vision_final.pt").exists():
        # an image tower has been trained against the names: they stay where they are while words are learned on
        with torch.inference_mode():
            kept = text_towers(work / "text_final.pt").text(data["texts"]["names"])
        data["vectors"]["names"] = F.normalize(kept, dim=-1).clone()
        shares = SHARES_LATER
    tokenizer = Tokenizer.from_str(data["tokenizer"])
    config = MiniConfig(vocab_size=tokenizer.get_vocab_size())
    torch.manual_seed(2)
    tower = MiniTextTower(config)
    with torch.no_grad():
        tower.tokens.weight.copy_(data["first"])
    trainer = BF16Trainer(tower, lr=2e-3, weight_decay=0.01)
    path, step, before = work / "text.pt", 0, 0.0
    if path.exists():
        saved = torch.load(path, weights_only=False)
        trainer.load(saved["trainer"])
        step, before = saved["step"], saved["seconds"]
    started = time.perf_counter() - before
    running: dict[str, float] = {}
    while (progress := (time.perf_counter() - started) / (60 * minutes)) < 1:
        rng = random.Random(step)
        loss = torch.zeros(())
        # one pass per kind: texts of a kind are about as long as each other, so little of a batch is padding
        for kind, share in shares.items():
            count = int(batch * share)
            rows = [rng.randrange(len(data["texts"][kind])) for _ in range(count)]
            lines = [data["texts"][kind][i] for i in rows]
            if kind in ("names", "nouns"):
                lines = [rng.choice(TEMPLATES).format(t) if rng.random() < 0.25 else t for t in lines]
            ids, mask = encode(tokenizer, lines, config.context_length)
            vectors = F.normalize(tower(ids, mask).float(), dim=-1)
            distance = (1 - (vectors * data["vectors"][kind][rows].float()).sum(-1)).mean()
            loss = loss + share * distance
            running[kind] = 0.98 * running.get(kind, distance.item()) + 0.02 * distance.item()
        loss.backward()  # type: ignore[no-untyped-call]
        trainer.step(progress, step)
        step += 1
        if step % 50 == 0:
            print(
                f"{progress:6.1%} step {step} " + " ".join(f"{k} {v:.3f}" for k, v in running.items()),
                flush=True,
            )
        if step % 500 == 0:
            save(path, {"trainer": trainer.state(), "step": step, "seconds": time.perf_counter() - started})
    names = [n for n, _ in tower.named_parameters()]
    state = dict(zip(names, trainer.average, strict=True))
    save(
        work / "text_final.pt",
        {"state": state, "tokenizer": data["tokenizer"], "vocab_size": config.vocab_size},
    )
    (work / "text.json").write_text(
        json.dumps({"distance": running, "steps": step, "batch": batch, "minutes": minutes})
    )
