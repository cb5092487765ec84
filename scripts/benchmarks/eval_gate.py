"""How well the gate tells good attributes of a real language model from bad ones.

    python scripts/benchmarks/eval_gate.py [--encoder sentences|MODEL] [--show] [--json FILE]

`tests/describe/data/judged_attributes.json` has 300 attributes that SmolLM2-135M-Instruct wrote, judged one by one by
the agent that wrote the gate, and by a second one that saw neither the first judgement nor the gate. The labels are
parted into a half that thresholds were set on and one that was looked at only for the figures. What the gate refuses
should be bad (precision), and what is bad it should refuse (recall).

Arms:
    wording      one attribute by itself, exact copies: about what the gate was before it met a real model
    words        and echoes, loops, copies, language, other things of the label's kind
    all          and what the sentence encoder says: off topic, saying what another says, moving the label
Figures: precision, recall, good_kept (of the good ones, the share that passes), on `test`, `tuning`, `both`; kappa of
the two judges; handwritten/BOOK: the share of attributes in books by hand that pass.

With --encoder MODEL the text tower of a model takes the place of the sentence encoder.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from olmv.describe.checks import ListChecks
from olmv.describe.gate.gate import Gate
from olmv.describe.gate.repetition import Copies
from olmv.describe.gate.topic import TextTower, Topic
from olmv.describe.senses import short_meanings
from olmv.describe.towers import ModelTower, SentenceEncoder
from olmv.labels.attributes import AttributeBook
from olmv.labels.label import Label
from olmv.labels.quality import tidy
from olmv.labels.vocabulary import Vocabulary
from olmv.llm.prompts import load_prompt
from olmv.metrics.bootstrap import mean_interval
from olmv.models.registry import load_model, text_limit
from olmv.progress import JobListener
from scripts.benchmarks.results import Figure, show, write

ROOT = Path(__file__).resolve().parents[2]
JUDGED = ROOT / "tests" / "describe" / "data" / "judged_attributes.json"
BOOKS = Path(__file__).parent / "books"
ARMS = ("wording", "words", "all")


class Gates:
    """The gate of a list, in three stages."""

    def __init__(self, labels: Sequence[str], encoder: TextTower) -> None:
        vocabulary = Vocabulary.from_names(labels)
        checks = ListChecks(vocabulary, model=None, templates=None, device="cpu", listener=JobListener())
        self._topic = Topic(encoder, vocabulary, short_meanings(checks.senses))
        checks.__dict__["topic"] = self._topic  # the encoder is loaded once for all lists
        self._gate = checks.gate_for_answers(load_prompt("general"), limit=text_limit("olmv-lite"), book={})
        short = checks.gate_for_answers(load_prompt("short"), limit=text_limit("olmv-lite"), book={})
        self._short = short.echoes

    def gate(self, arm: str, prompt: str) -> Gate:
        """The gate of an arm, with nothing written yet."""
        gate = replace(self._gate, copies=Copies(), echoes=self._short if prompt == "short" else self._gate.echoes)
        if arm == "wording":
            return replace(gate, echoes=None, kin=None, topic=None)
        return gate if arm == "all" else replace(gate, topic=None)


def refusals(gate: Gate, label: str, texts: Sequence[str]) -> list[str | None]:
    """The reason of each text that is refused."""
    verdict = gate.accept(Label(label), texts)
    accepted = Counter(verdict.accepted)
    refused: dict[str, list[str]] = {}
    for text, rejection in verdict.refused:
        refused.setdefault(text, []).append(f"{rejection.reason}: {rejection.detail}")
    reasons: list[str | None] = []
    for text in map(tidy, texts):
        if accepted[text]:
            accepted[text] -= 1
            reasons.append(None)
        else:
            reasons.append(refused[text].pop(0))
    return reasons


def judged_figures(document: dict[str, Any], encoder: TextTower, *, shown: bool) -> Iterator[Figure]:
    """Precision and recall."""
    gates = {name: Gates(labels, encoder) for name, labels in document["lists"].items()}
    for arm in ARMS:
        rows = []
        for answer in document["answers"]:
            texts = [text for text, *_ in answer["attributes"]]
            reasons = refusals(gates[answer["list"]].gate(arm, answer["prompt"]), answer["label"], texts)
            for (text, good, _), reason in zip(answer["attributes"], reasons, strict=True):
                rows.append((answer["half"], bool(good), reason is not None))
                if shown and arm == "all" and good == (reason is not None):
                    print("good, refused:" if good else "bad, accepted:", answer["label"], "|", text, "|", reason or "")
        for half in ("test", "tuning", "both"):
            part = np.array([(good, refused) for name, good, refused in rows if half in (name, "both")])
            good, refused = part[:, 0], part[:, 1]
            for name, values in (
                ("precision", ~good[refused]),
                ("recall", refused[~good]),
                ("good_kept", ~refused[good]),
            ):
                yield Figure.of(f"{arm}/{half}/{name}", mean_interval(values), len(values))


def kappa(document: dict[str, Any]) -> Figure:
    """Cohen's kappa of the two judges."""
    pairs = np.array([(first, second) for answer in document["answers"] for _, first, second in answer["attributes"]])
    agree, shares = float((pairs[:, 0] == pairs[:, 1]).mean()), pairs.mean(axis=0)
    chance = float(shares.prod() + (1 - shares).prod())
    return Figure("judges/kappa", (agree - chance) / (1 - chance), None, None, len(pairs))


def handwritten_figures(encoder: TextTower) -> Iterator[Figure]:
    """How much of what people wrote passes."""
    for name in ("actions", "obscure_labels"):
        book = AttributeBook.load(BOOKS / f"{name}.json")
        gate = Gates(list(book), encoder).gate("all", "general")
        passed = [reason is None for label, texts in book.items() for reason in refusals(gate, label, texts)]
        yield Figure.of(f"handwritten/{name}", mean_interval(np.array(passed)), len(passed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="sentences", help="sentences, or a model's name")
    parser.add_argument("--show", action="store_true", help="print what was told wrongly")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    encoder: TextTower = SentenceEncoder()
    if args.encoder != "sentences":
        encoder = ModelTower(load_model(args.encoder, device="cpu", dtype="float32"))
    document = json.loads(JUDGED.read_text(encoding="utf-8"))
    figures = [*judged_figures(document, encoder, shown=args.show), kappa(document), *handwritten_figures(encoder)]
    show(figures, f"the gate, told by {args.encoder}")
    if args.json is not None:
        write(args.json, figures, {"encoder": args.encoder})


if __name__ == "__main__":
    main()
