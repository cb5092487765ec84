"""A small real language model behind vLLM: what it says of labels is English, and only what is good is in the book."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

import olmv
from olmv.describe.checks import ListChecks
from olmv.labels.quality import normalized
from olmv.labels.vocabulary import Vocabulary
from olmv.llm.prompts import load_prompt
from olmv.models.registry import text_limit
from olmv.progress import JobListener
from tests.vllm_real.command import describe

URL = os.environ.get("OLMV_TEST_VLLM_REAL_URL", "")
MODEL = os.environ.get("OLMV_TEST_VLLM_REAL_MODEL", "")
DTYPE = os.environ.get("OLMV_TEST_VLLM_REAL_DTYPE", "")
PYTHON = os.environ.get("OLMV_TEST_VLLM_PYTHON", "")

pytestmark = [
    pytest.mark.skipif(not (URL and MODEL and DTYPE and PYTHON), reason="needs a real model: scripts/test_vllm"),
    pytest.mark.slow,
    pytest.mark.timeout(600),
]

COUNT = 3
ASKED = ("--attributes-per-label", str(COUNT), "--retries", "1")
ENGINE = {"enforce_eager": "true", "max_model_len": "4096", "max_num_batched_tokens": "32768", "dtype": DTYPE}
GLUE = frozenset(("a", "an", "the", "of", "in", "on", "with", "and", "at", "from", "to", "is", "its", "over", "beside"))
"""Words without which hardly anybody describes what is seen; a model with random weights has no use for them."""
OVERLAP = 6
"""So many words in a row that stand in the prompt are no chance."""


def prompt_text() -> str:
    """Everything that the model is told, but for the labels."""
    document = load_prompt("general").document
    examples = [text for example in document.examples for text in example.answer["attributes"]]
    return " ".join(normalized(text) for text in (document.system, document.user, document.retry, *examples))


def check_book(book: Path, labels: list[str]) -> None:
    prompt, vocabulary = prompt_text(), Vocabulary.from_names(labels)
    checks = ListChecks(vocabulary, model="olmv-mini", templates=None, device="cpu", listener=JobListener())
    gate = checks.gate_for_answers(load_prompt("general"), limit=text_limit("olmv-mini"), book={})
    attributes = dict(olmv.AttributeBook.load(book).items())
    assert set(attributes) <= set(labels)
    assert attributes, "not one label got an attribute"
    for label in vocabulary:
        texts = attributes.get(label.name, ())
        assert gate.accept(label, texts).refused == []
        assert len(texts) <= COUNT
        assert len({normalized(text) for text in texts}) == len(texts)
        for text in texts:
            words = re.findall(r"[a-z']+", text.lower())
            assert text.isascii(), text
            assert 3 <= len(words) <= 20, text
            assert GLUE.intersection(words), text
            told = normalized(text).split()
            parts = [" ".join(told[k : k + OVERLAP]) for k in range(max(1, len(told) - OVERLAP + 1))]
            assert not [part for part in parts if part in prompt], text


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    file = tmp_path / "labels.txt"
    file.write_text("dog\nguitar\n", encoding="utf-8")
    return file


def check(python: str, labels: Path, llm: str, *options: str) -> None:
    book = labels.with_name("book.json")
    done = describe(python, labels, book, llm, *ASKED, *options)
    # one that got no attribute in two tries is told; a model of this size may fail one
    assert done.returncode in (0, 1), done.stderr
    names = labels.read_text(encoding="utf-8").split()
    check_book(book, names)
    entries = json.loads(book.read_text(encoding="utf-8"))["labels"]
    assert {entry["llm"] for entry in entries.values()} == {llm}
    assert [name for name in names if name not in entries and name not in done.stderr] == []


def test_the_server_with_a_real_model(labels: Path) -> None:
    check(sys.executable, labels, f"openai:real@{URL}")


def test_the_engine_with_a_real_model(labels: Path) -> None:
    options = [part for name, value in ENGINE.items() for part in ("--llm-option", f"{name}={value}")]
    check(PYTHON, labels, f"vllm:{MODEL}", *options)
