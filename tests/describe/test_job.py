"""The door of `describe`: one job, run or looked at first."""

import json
from pathlib import Path

import pytest

from olmv.describe.ask import Answer
from olmv.describe.job import DescribeJob, DescribeListener, preview_llm, preview_wordnet, run
from olmv.errors import UsageError


class Notebook(DescribeListener):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.labels: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def described(self, answer: Answer) -> None:
        self.labels.append(answer.label.name)


def test_wordnet_describes_where_no_model_is_named(tmp_path: Path) -> None:
    book, listener = tmp_path / "book.json", Notebook()
    summary = run(DescribeJob("dog, guitar", book), listener)
    assert (summary.total, summary.described, summary.failed, summary.answers) == (2, 2, [], 0)
    assert listener.labels == list(json.loads(book.read_text())["labels"]) == ["dog", "guitar"]
    assert listener.notes == [
        "no language model is named: WordNet, a dictionary that ships with olmv, describes the labels"
    ]


def test_a_preview_writes_nothing(tmp_path: Path) -> None:
    book = tmp_path / "book.json"
    answers = list(preview_wordnet(DescribeJob("dog, guitar", book, llm="wordnet"), DescribeListener()))
    assert [answer.label.name for answer in answers] == ["dog", "guitar"]
    preview = preview_llm(DescribeJob("dog, guitar", book, count=3), DescribeListener())
    assert preview is not None
    assert (preview.labels, preview.exact, len(preview.counted)) == (2, False, 2)
    assert not book.exists()


@pytest.mark.parametrize(
    ("job", "message", "options"),
    [
        (DescribeJob("dog"), "a BOOK.json to write is needed", ("output", "dry_run")),
        (DescribeJob("dog", Path("b.json"), llm="gpt"), "'gpt' is not wordnet, vllm:MODEL", ("llm",)),
        (DescribeJob("dog", Path("b.json"), llm="gpt:x"), "'gpt:x' is not vllm:MODEL", ("llm",)),
        (DescribeJob("dog", Path("b.json"), llm="gpt:x", prompt="domain"), "needs a domain", ("domain",)),
    ],
)
def test_what_cannot_be_done_names_the_option_that_mends_it(
    job: DescribeJob, message: str, options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message) as failure:
        run(job, DescribeListener())
    assert failure.value.options == options
    assert not list(tmp_path.iterdir())
