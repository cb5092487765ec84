"""Against a real vLLM: its server, its offline engine, and `olmv describe-labels` with both. See scripts/test_vllm."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import olmv
from olmv.datasets.manifests import read_manifest
from olmv.llm.open import open_chat
from olmv.llm.types import Conversation, Generation, Message
from tests.caption.tiny_blip2 import build as build_blip2
from tests.support.samples import write_clip
from tests.vllm_real.command import console_script, describe

ROOT = Path(__file__).parents[2]
URL = os.environ.get("OLMV_TEST_VLLM_URL", "")
MODEL = os.environ.get("OLMV_TEST_VLLM_MODEL", "")
PYTHON = os.environ.get("OLMV_TEST_VLLM_PYTHON", "")

pytestmark = [
    pytest.mark.skipif(not (URL and MODEL and PYTHON), reason="needs a vLLM server and environment: scripts/test_vllm"),
    pytest.mark.slow,
    # on a busy machine the engine alone may take minutes to load
    pytest.mark.timeout(600),
]

LABELS = ("dog", "guitar", "rain", "penguin in the snow", 'Müller\'s <b>"café"</b>', "犬")
ENGINE = {"enforce_eager": "true", "max_model_len": "4096"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "attributes": {"type": "array", "items": {"type": "string", "minLength": 8}, "minItems": 3, "maxItems": 3}
    },
    "required": ["attributes"],
    "additionalProperties": False,
}


def questions(count: int) -> list[Conversation]:
    return [[Message("system", "be brief"), Message("user", "describe a " + "red " * k)] for k in range(count)]


def check_answer(text: str) -> None:
    attributes = json.loads(text)["attributes"]
    assert len(attributes) == 3
    assert all(isinstance(attribute, str) and len(attribute) >= 8 for attribute in attributes)


@pytest.fixture
def label_file(tmp_path: Path) -> Path:
    file = tmp_path / "labels.txt"
    file.write_text("\n".join(LABELS), encoding="utf-8")
    return file


def check_book(book: Path, llm: str, done: "subprocess.CompletedProcess[str]") -> None:
    """Check a book of a model of random weights: what it says is read and judged, and seldom passes."""
    refused = re.findall(r"^failed: (.+): \d+ refused, such as ", done.stderr, re.MULTILINE)
    described = json.loads(book.read_text(encoding="utf-8"))["labels"]
    assert sorted([*described, *refused]) == sorted(LABELS), done.stderr
    assert done.returncode == (1 if refused else 0)
    assert "answers, " in done.stderr
    loaded = olmv.AttributeBook.load(book)
    for label in described:
        assert 1 <= len(loaded.entry(label).attributes) <= 8
    assert {entry["llm"] for entry in described.values()} == {llm}
    assert all(entry["prompt_sha256"] for entry in described.values())


def test_the_server_answers_in_the_schema() -> None:
    chat = open_chat(f"openai:{MODEL}@{URL}", concurrency=8)
    try:
        answers = dict(chat.complete(questions(16), schema=SCHEMA, generation=Generation(max_tokens=400)))
        counted = chat.count_tokens(questions(2))
    finally:
        chat.close()
    assert sorted(answers) == list(range(16))
    for answer in answers.values():
        assert answer.finish_reason == "stop", answer
        check_answer(answer.text)
    assert counted is None or counted == [answers[k].prompt_tokens for k in range(2)]


def test_describe_labels_with_the_server(label_file: Path, tmp_path: Path) -> None:
    book, llm = tmp_path / "book.json", f"openai:{MODEL}@{URL}"
    done = describe(sys.executable, label_file, book, llm)
    check_book(book, llm, done)


def test_describe_labels_with_the_engine(label_file: Path, tmp_path: Path) -> None:
    book, llm = tmp_path / "book.json", f"vllm:{MODEL}"
    options = [part for name, value in ENGINE.items() for part in ("--llm-option", f"{name}={value}")]
    done = describe(PYTHON, label_file, book, llm, *options)
    check_book(book, llm, done)
    assert done.stdout == ""
    # one line comes from builds of vLLM for CPUs, before its log is set up
    assert not [line for line in done.stderr.splitlines() if "INFO" in line or "WARNING" in line]


def test_the_engine_directly(tmp_path: Path) -> None:
    """Schema, counting, a prompt that is too long, a seed, closing."""
    script = tmp_path / "direct.py"
    script.write_text(DIRECT, encoding="utf-8")
    done = subprocess.run(
        [PYTHON, str(script), f"vllm:{MODEL}", json.dumps(ENGINE), json.dumps(SCHEMA)],
        capture_output=True, text=True, check=False, timeout=500, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["finished"] == ["stop"] * 64 + ["error"] + ["stop"]
    for text in told["texts"]:
        check_answer(text)
    assert "maximum context length" in told["error"]
    assert told["prompt_tokens"] == told["counted"]
    assert told["again"] == told["texts"][:4]
    assert told["children"] == 0


DIRECT = """
import json, sys
import psutil
from olmv.llm.open import open_chat
from olmv.llm.types import Generation, Message

if __name__ == "__main__":
    spec, options, schema = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
    ask = lambda words: [Message("system", "be brief"), Message("user", "describe a " + "red " * words)]
    chat = open_chat(spec, options=options)
    asked = [ask(k) for k in range(64)]
    counted = chat.count_tokens(asked)
    generation = Generation(max_tokens=400)
    answers = dict(chat.complete(iter([*asked, ask(9000), ask(3)]), schema=schema, generation=generation))
    again = dict(chat.complete(asked[:4], schema=schema, generation=generation))
    chat.close()
    told = {
        "finished": [answers[k].finish_reason for k in range(66)],
        "texts": [answers[k].text for k in range(64)],
        "error": answers[64].error,
        "prompt_tokens": [answers[k].prompt_tokens for k in range(64)],
        "counted": counted,
        "again": [again[k].text for k in range(4)],
        "children": sum("EngineCore" in child.name() for child in psutil.Process().children(recursive=True)),
    }
    print(json.dumps(told))
"""


def test_a_wrong_option_is_one_line(label_file: Path, tmp_path: Path) -> None:
    done = describe(PYTHON, label_file, tmp_path / "book.json", f"vllm:{MODEL}", "--llm-option", "max_modellen=1")
    assert done.returncode == 2
    assert "vLLM has no option 'max_modellen'; did you mean max_model_len?" in done.stderr
    assert not (tmp_path / "book.json").exists()


def test_captions_with_the_server(tmp_path: Path) -> None:
    """A tiny BLIP-2 says something of every frame, the real server makes a sentence and labels of it.

    The prompt is German, so that no English is asked of a model of random weights.
    """
    prompt = tmp_path / "german.yaml"
    document = yaml.safe_load((ROOT / "prompts" / "summary.yaml").read_text(encoding="utf-8"))
    document["system"] = "Sag in einem Satz, was das Video zeigt: wer oder was da ist, was geschieht und wo."
    prompt.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    clips = [str(write_clip(tmp_path / f"{seed}.mp4", seed=seed)) for seed in range(4)]
    command = [console_script(sys.executable), "caption", *clips, "-o", "c.jsonl", "--frames", "4"]
    command += ["--captioner", f"blip2:{build_blip2(tmp_path / 'blip2')}", "--llm", f"openai:{MODEL}@{URL}"]
    command += ["--extract-labels", "labels.jsonl", "--model", "olmv-mini", "--retries", "9"]
    command += ["--prompt", str(prompt)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "c.jsonl").read_text("utf-8").splitlines()]
    assert [row["video"] for row in rows] == clips
    for row in rows:
        assert row["caption"].startswith("The video shows ")
        assert 1 <= len(row["frame_captions"]) <= 4
        assert -1 <= row["similarity"] <= 1
        assert row["labels"]
    assert [row.labels for row in read_manifest(tmp_path / "labels.jsonl")]
