"""What a language model makes of the frame words of `olmv caption --captioner labels:olmv-lite`, on real footage.

    python scripts/benchmarks/bench_caption_llm.py DATA --llm SPEC [--json FILE] [--answers FILE]

DATA holds the folders `described`, `actions` and `objects` with a `labels.csv` each; a photo is a video of one frame.
olmv-lite looks for the labels of `actions` and `objects`. Every sentence is asked for once, gated; "raw" is the first
answer in the form asked for, before the gate reads it, "gated" what the command writes: the sentence that passed, or
else the template's caption. Labels are asked for once a clip, and read with and without the gate.

    without_words        share of the videos in no frame of which a label is positive: nothing is asked of them
    passed_first, passed share of the sentences that pass the gate at once, and after the retries
    support/ARM          share of a sentence's content words that the frame words hold; of `gated` those that passed
    labels_right/ARM     share of the extracted labels that stand in the frame words (gated: 1 by construction)
    labels_each/ARM      labels a clip
    similarity/ARM       cosine of caption and video by olmv-lite, where every arm has a caption
    named/ARM, wrong/ARM true labels of a photo that the caption names, as a share; labels that are not true, a photo
    frame_words_right/K  share of the photos of which the K-th label, the most probable first, is true
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from olmv.caption.frame_captions import CaptionedVideo
from olmv.caption.frame_labels import MAX_FRAME_WORDS, FrameLabels
from olmv.caption.from_labels import caption_of_labels, words_from
from olmv.caption.gate import LEAST_SUPPORT, Gate
from olmv.caption.summarize import CaptionQuestion, LabelsQuestion
from olmv.classifier import Classifier
from olmv.labels.vocabulary import Vocabulary
from olmv.llm.ask import Problem, ask
from olmv.llm.open import open_chat
from olmv.llm.prompts import load_prompt
from olmv.llm.types import ChatModel, Generation
from olmv.metrics.bootstrap import mean_interval
from olmv.video.options import DecodeOptions
from scripts.benchmarks.real_sets import RealSet
from scripts.benchmarks.results import Figure, show, write

SAMPLES = {"described": 18, "actions": 20, "objects": 40}
FRAMES = 16


@dataclass
class Sentence(CaptionQuestion):
    """A question that remembers its answers, and the first that had the form asked for."""

    answers: list[str] = field(default_factory=list)
    raw: str | None = None

    def take(self, text: str) -> list[Problem]:
        self.answers.append(text)
        if self.raw is None:
            ungated = CaptionQuestion(self.row, self.captions, self.prompt, gated=False)
            ungated.take(text)
            self.raw = ungated.caption
        return super().take(text)


@dataclass
class Labels(LabelsQuestion):
    """A question whose one answer is read twice: with the gate, and before without it."""

    raw: list[str] = field(default_factory=list)
    answer: str = ""

    def take(self, text: str) -> list[Problem]:
        self.answer = text
        ungated = LabelsQuestion(self.row, self.caption, self.captions, self.prompt, gated=False)
        ungated.take(text)
        self.raw = ungated.labels
        return super().take(text)


@dataclass
class Video:
    """One video and everything that was said of it."""

    real: str
    truth: set[str]
    seen: CaptionedVideo
    template: str
    sentence: Sentence | None = None
    labels: Labels | None = None

    def arms(self) -> dict[str, str]:
        """Return the caption of each arm; "" where it has none."""
        told = self.sentence
        return {
            "template": self.template,
            "raw": (told and told.raw) or "",
            "gated": (told and told.caption) or self.template,
        }


def sample(real: RealSet, size: int) -> RealSet:
    """Take videos evenly spread over the list, which is sorted by label."""
    rows = np.linspace(0, len(real.videos) - 1, min(size, len(real.videos))).round().astype(int)
    return real.only(sorted(set(rows.tolist())))


def look(sets: Iterable[RealSet], labels: FrameLabels) -> Iterator[Video]:
    """Caption the frames of every video by their labels."""
    for real in sets:
        for row, seen in enumerate(labels([str(path) for path in real.videos])):
            truth = {name for name, true in zip(real.labels, real.truth[row], strict=True) if true}
            if seen.video.error is None:
                yield Video(real.name, truth, seen, caption_of_labels(seen.labels or [], labels.words)[0])


def talk(videos: Sequence[Video], chat: ChatModel, generation: Generation, retries: int) -> None:
    """Ask for the sentence of every video, and for the labels of every clip."""
    prompt, entities = load_prompt("summary"), load_prompt("entities")
    for video in videos:
        if video.seen.captions:
            video.sentence = Sentence({}, video.seen.captions, prompt)
    sentences = [video.sentence for video in videos if video.sentence is not None]
    for _ in ask(sentences, chat, schema=prompt.schema, generation=generation, retries=retries):
        pass
    for video in videos:
        if video.sentence is not None and video.real != "objects" and (caption := video.arms()["gated"]):
            video.labels = Labels({}, caption, video.seen.captions, entities)
    questions = [video.labels for video in videos if video.labels is not None]
    for _ in ask(questions, chat, schema=entities.schema, generation=generation, retries=0):
        pass


def mean(name: str, values: Sequence[float]) -> Iterator[Figure]:
    if values:
        yield Figure.of(name, mean_interval(np.array(values, dtype=float)), len(values))


def figures_of(videos: Sequence[Video], classifier: Classifier, names: Sequence[str]) -> Iterator[Figure]:
    yield from mean("without_words", [not video.seen.captions for video in videos])
    told = [(video, video.sentence) for video in videos if video.sentence is not None]
    first = [
        CaptionQuestion({}, q.captions, q.prompt).take(q.answers[0]) == [] if q.answers else False for _, q in told
    ]
    yield from mean("passed_first", first)
    yield from mean("passed", [q.caption is not None for _, q in told])
    gates = [Gate([item.text for item in q.captions]) for _, q in told]
    opening = len("The video shows ")
    for arm, texts in (("raw", [q.raw for _, q in told]), ("gated", [q.caption for _, q in told])):
        supports = [gate.support(text[opening:]) for gate, text in zip(gates, texts, strict=True) if text]
        yield from mean(f"support/{arm}", supports)
    asked = [video.labels for video in videos if video.labels is not None]
    for arm, lists in (("raw", [q.raw for q in asked]), ("gated", [q.labels for q in asked])):
        right = [
            Gate([item.text for item in q.captions]).names(label)
            for q, labels in zip(asked, lists, strict=True)
            for label in labels
        ]
        yield from mean(f"labels_right/{arm}", right)
        yield from mean(f"labels_each/{arm}", [len(labels) for labels in lists])
    whole = [video for video in videos if all(video.arms().values())]
    for arm in ("template", "raw", "gated"):
        cosines = [
            classifier.similarity(video.seen.embedding, video.arms()[arm])
            for video in whole
            if video.seen.embedding is not None
        ]
        yield from mean(f"similarity/{arm}", cosines)
    photos = [video for video in videos if video.real == "objects" and video.truth]
    for arm in ("template", "raw", "gated"):
        said = [Gate([video.arms()[arm]]) for video in photos]
        named = [{name for name in names if gate.names(name)} for gate in said]
        pairs = list(zip(photos, named, strict=True))
        yield from mean(f"named/{arm}", [len(video.truth & n) / len(video.truth) for video, n in pairs])
        yield from mean(f"wrong/{arm}", [len(n - video.truth) for video, n in pairs])
    for rank in range(5):
        hits = [(v.seen.labels or [])[rank] in v.truth for v in photos if len(v.seen.labels or []) > rank]
        yield from mean(f"frame_words_right/{rank + 1}", hits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--llm", required=True, metavar="SPEC", help="as for olmv caption")
    parser.add_argument("--retries", type=int, default=1)
    parser.add_argument("--max-tokens", type=int, default=64, help="of one answer; a loop goes on to its end")
    parser.add_argument("--concurrency", type=int, default=4)
    for name, size in SAMPLES.items():
        parser.add_argument(f"--{name}", type=int, default=size, metavar="N", help="videos of this folder")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--answers", type=Path, metavar="FILE", help="write all that was said, to read it")
    args = parser.parse_args()
    sets = [sample(RealSet.load(args.data / name), getattr(args, name)) for name in SAMPLES]
    names = sorted({label for name in ("actions", "objects") for label in RealSet.load(args.data / name).labels})
    vocabulary = Vocabulary.from_names(names)
    classifier = Classifier.from_pretrained("olmv-lite")
    decode = DecodeOptions(frames=FRAMES, timeout_s=120.0)
    videos = list(look(sets, FrameLabels(classifier, vocabulary, words_from(vocabulary), decode)))
    generation = Generation(temperature=0.2, max_tokens=args.max_tokens)
    begun = time.perf_counter()
    with closing(open_chat(args.llm, concurrency=args.concurrency, timeout_s=300.0, options={})) as chat:
        talk(videos, chat, generation, args.retries)
    print(f"the language model took {time.perf_counter() - begun:.0f} s")
    if args.answers is not None:
        rows = [
            {
                "video": video.seen.video.path,
                "frame_words": [item.text for item in video.seen.captions],
                "template": video.template,
                "answers": video.sentence.answers if video.sentence else [],
                "caption": video.sentence.caption if video.sentence else None,
                "labels_answer": video.labels.answer if video.labels else None,
                "labels": video.labels.labels if video.labels else None,
            }
            for video in videos
        ]
        args.answers.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    figures = list(figures_of(videos, classifier, names))
    show(figures, "frame words to sentences")
    if args.json is not None:
        # an address says nothing of the model
        llm = args.llm.partition("@")[0]
        settings = {
            "llm": llm, "retries": args.retries, "max_tokens": args.max_tokens, "frames": FRAMES,
            "videos": {real.name: len(real.videos) for real in sets}, "labels": len(names),
            "words_a_frame": MAX_FRAME_WORDS, "least_support": LEAST_SUPPORT,
            "prompts": [load_prompt("summary").title, load_prompt("entities").title],
        }  # fmt: skip
        write(args.json, figures, settings)


if __name__ == "__main__":
    main()
