"""The model card with figures: what `olmv evaluate` measured, in Markdown and in the Hub's metadata.

What others wrote into the card stays. Our own parts stand between marks, so that they can be written again.
"""

import json
import math
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import olmv
from olmv.errors import ModelError, UsageError, reason
from olmv.evaluate.results import Result
from olmv.io.atomic import temporary_beside, write_atomic
from olmv.io.network import quiet
from olmv.io.paths import read_text
from olmv.pages.figures import HEADLINES, deviation, shown, title

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

__all__ = ["card_with_results", "markdown", "write_card"]

TAGS = ("video-classification", "zero-shot-video-classification", "open-vocabulary", "olmv")
_TEXT_MOST = 300
_NOTES_MOST = 30
_NAME = r"[^\s/\\'\"`;,|]+"
_PATH = re.compile(rf"(?:file:/*|(?<![\w:/.\\]))(?:~?/|[A-Za-z]:[/\\])(?:{_NAME}[/\\])*({_NAME})[/\\]?")


def write_card(folder: str | Path, evaluations: Sequence[str | Path], *, model: str) -> Path:
    """Write the README.md of a model folder anew, with the figures of these evaluations.

    Args:
        folder: a model that olmv saved.
        evaluations: result folders of this very model; see `card_with_results`.
        model: the name by which others load it, such as `hf:ORG/REPO`.

    Returns:
        The file.

    Raises:
        UsageError: an evaluation is not one, or of other weights than these.
        ModelError: the card's metadata cannot be read, or the card is a link that leads out of the folder.
        OutputError: it cannot be written.
    """
    from olmv.models.hub.upload import check_link

    path = Path(folder) / "README.md"
    check_link(path)
    results = [Result.load(evaluation) for evaluation in evaluations]
    _check_weights(Path(folder), evaluations, results)
    card = read_text(path) if path.is_file() else f"# {markdown(model.rpartition('/')[2])}\n"
    card = card_with_results(card, results, model=model)
    if path.is_symlink():  # in the Hub's cache: the file that it leads to is not ours to change
        fresh = temporary_beside(path)
        write_atomic(fresh, card)
        fresh.replace(path)
    else:
        write_atomic(path, card)
    return path


def card_with_results(card: str, results: Sequence[Result], *, model: str) -> str:
    """Return the card with how to use the model and what was measured of it at its end; doing it twice changes nothing.

    An earlier evaluation is replaced, in the text and in the metadata; without results it stays. No absolute path of
    this machine is in what is added, and labels, notes and names are plain text in it.

    Args:
        card: Markdown, with or without metadata.
        results: what `olmv evaluate` wrote.
        model: the name by which others load it, such as `hf:ORG/REPO`.

    Raises:
        ModelError: the metadata cannot be read.
    """
    from huggingface_hub import ModelCard

    try:
        with quiet():  # it warns of a card without metadata
            parsed = ModelCard(card)
    except Exception as error:  # of YAML, and the client's ValueError and TypeError
        raise ModelError(f"the metadata of README.md cannot be read ({reason(error)}); correct or delete it") from None
    data: Any = parsed.data
    tags = [data.tags] if isinstance(data.tags, str) else data.tags or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise ModelError("the tags in the metadata of README.md are not a list of words; correct or delete them")
    data.tags = list(dict.fromkeys([*tags, *TAGS]))
    data.pipeline_tag = data.pipeline_tag or "video-classification"
    data.library_name = data.library_name or "olmv"
    text = _with_part(parsed.text.strip("\n"), "use", _usage(model))
    if results:
        theirs = [
            entry
            for entry in data.eval_results or ()
            if not isinstance(entry.dataset_args, dict) or "evaluated_with" not in entry.dataset_args
        ]
        data.model_name = data.model_name or model.rpartition("/")[2].partition("@")[0]
        data.eval_results = theirs + _metadata(results)
        text = _with_part(text, "evaluation", "\n".join(["## Evaluation", "", *_sections(results)]))
    return f"---\n{data.to_yaml()}\n---\n\n{text}\n"


def markdown(text: object) -> str:
    """Write any text as plain words of one line in Markdown, in a table too: no markup, no link, no path."""
    plain = "".join(char if char.isprintable() else " " for char in without_paths(str(text)))
    plain = " ".join(plain.split())
    plain = plain if len(plain) <= _TEXT_MOST else plain[: _TEXT_MOST - 1] + "…"
    plain = re.sub(r"([\\`*_{}\[\]<>|~$&@!#=])", r"\\\1", plain)
    plain = re.sub(r"(?i)(:)(//)|(www)(\.)", lambda match: "\\".join(part for part in match.groups() if part), plain)
    return re.sub(r"^([-+])|^(\d+)([.)])(?=\s|$)", lambda f: f"\\{f[1]}" if f[1] else f"{f[2]}\\{f[3]}", plain)


def without_paths(text: str) -> str:
    """Return `text` with the last part of every absolute path in it in the place of the path."""
    return "; ".join(_last_part(part) for part in text.split("; "))


def _last_part(text: str) -> str:
    if PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute():  # spaces and all
        return re.split(r"[/\\]", text.rstrip("/\\"))[-1]
    return _PATH.sub(r"\1", text)


def _check_weights(folder: Path, evaluations: Sequence[str | Path], results: Sequence[Result]) -> None:
    """Raise UsageError for an evaluation of another model: figures of somebody else's weights help nobody."""
    from olmv.models.fingerprint import digest_weights
    from olmv.models.registry import load_model

    digests: dict[str, str] = {}
    for path, result in zip(evaluations, results, strict=True):
        dtype, weights = result.settings.get("dtype"), result.settings.get("weights")
        dtype = "float32" if dtype == "int8" else dtype  # of the weights that int8 was made from
        if not isinstance(weights, str) or dtype not in ("float32", "float16", "bfloat16"):
            continue  # rows of `olmv predict` do not tell
        if dtype not in digests:
            state = load_model(folder, device="cpu", dtype=dtype).state_dict()
            digests[dtype] = digest_weights(state.items())
        if not digests[dtype].startswith(weights):
            raise UsageError(
                f"{path} is an evaluation of other weights than those in '{folder}'; evaluate this model first"
            )


def _with_part(text: str, name: str, part: str) -> str:
    """Return the text with our part of this name in the place of an earlier one, else at the end."""
    begin, end = f"<!-- olmv: {name} -->", f"<!-- olmv: end of {name} -->"
    marked = f"{begin}\n{part.strip()}\n{end}"
    match = re.search(re.escape(begin) + ".*?" + re.escape(end), text, re.DOTALL)
    if match is None:
        return f"{text}\n\n{marked}".strip("\n")
    return text[: match.start()] + marked + text[match.end() :]


def _usage(model: str) -> str:
    model = "".join(char for char in model if char.isprintable())
    return f"""## How to use

```bash
pip install olmv
olmv predict clip.mp4 --model {shlex.quote(model)} --labels "dog, guitar, rain"
```

```python
from olmv import Classifier, Vocabulary

classifier = Classifier.from_pretrained({json.dumps(model)})
for prediction in classifier.predict(["clip.mp4"], Vocabulary.from_names(["dog", "guitar", "rain"])):
    print(prediction.video, prediction.positives)
```"""


def _metadata(results: Sequence[Result]) -> "list[EvalResult]":
    """Return the headline figures as the Hub's model index has them."""
    from huggingface_hub import EvalResult

    protocols = [result.protocol for result in results]
    entries = []
    for result in results:
        name = " ".join(without_paths(result.protocol).split())
        for metric in HEADLINES[result.kind]:
            if not math.isfinite(result.metrics.get(metric, math.nan)):
                continue
            entries.append(
                EvalResult(
                    task_type="text-to-video-retrieval" if result.kind == "retrieval" else "video-classification",
                    dataset_type=name,
                    dataset_name=name,
                    # of one protocol under different settings each has its own entry
                    dataset_config=result.created if protocols.count(result.protocol) > 1 else None,
                    dataset_args={"evaluated_with": f"olmv {olmv.__version__}"},
                    metric_type="accuracy" if metric == "top1" else metric,
                    metric_name=title(metric),
                    metric_value=round(result.metrics[metric], 6),
                )
            )
    return entries


def _sections(results: Sequence[Result]) -> list[str]:
    lines = [
        "Measured with `olmv evaluate`. Figures hold for these videos, labels and settings, and for no others.",
        "",
    ]
    for result in results:
        lines += _section(result)
    return lines


def _section(result: Result) -> list[str]:
    from olmv.evaluate.page import interval, moment, setting_rows
    from olmv.models.default import model_note

    counts = {"videos": len(result.videos), "labels": len(result.labels), "failed": 0} | dict(result.counts)
    failed = f", of which {counts['failed']} could not be read and are left out" if counts["failed"] else ""
    of = "sentences" if result.kind == "retrieval" else "labels"
    summary = f"{result.kind}, {moment(result.created)}: {counts['videos']} videos{failed}; {counts['labels']} {of}."
    lines = [f"### {markdown(result.protocol)}", "", markdown(summary), ""]
    names = [name for name in result.metrics if not name.endswith("_std")]
    rows = [
        [markdown(title(name)), markdown(name), shown(name, result.metrics[name]), interval(result, name)]
        for name in names
    ]
    if len(result.splits) > 1:
        for name, row in zip(names, rows, strict=True):
            _, spread = deviation(split["metrics"].get(name, math.nan) for split in result.splits)
            row.append(f"± {shown(name, spread).removesuffix(' %')}" if math.isfinite(spread) else "")
    heads = ["figure", "name", "value", "95 % interval"]
    if len(result.splits) > 1:
        heads.append(f"standard deviation (sample's) over {len(result.splits)} splits")
    lines += _table(heads, rows)
    if result.groups:
        every = dict.fromkeys(name for metrics in result.groups.values() for name in metrics)
        names = [name for name in HEADLINES[result.kind] if name in every] or list(every)
        rows = [[markdown(g), *(shown(n, metrics.get(n)) for n in names)] for g, metrics in result.groups.items()]
        lines += _table(["labels", *(markdown(title(name)) for name in names)], rows)
    notes = [model_note(result.model) or "", *result.notes]
    notes += [f"{len(result.never)} labels are true of no video: {_some(result.never)}"] if result.never else []
    notes += (
        [f"{len(result.always)} labels are true of every video and not in mAP: {_some(result.always)}"]
        if result.always
        else []
    )
    notes = [note for note in notes if note]
    lines += [f"- {markdown(note)}" for note in notes[:_NOTES_MOST]]
    lines += [f"- and {len(notes) - _NOTES_MOST} more notes"] if len(notes) > _NOTES_MOST else []
    lines += [""] if notes else []
    lines += ["<details><summary>Settings and versions</summary>", ""]
    settings = setting_rows({"model": result.model} | dict(result.settings))
    versions = setting_rows({f"{name} version": value for name, value in result.versions.items()})
    lines += _table(["setting", "value"], [[markdown(name), markdown(value)] for name, value in settings + versions])
    return [*lines, "</details>", ""]


def _some(labels: Sequence[str], most: int = 8) -> str:
    return ", ".join(labels[:most]) + (", …" if len(labels) > most else "")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table of cells that are Markdown already, and an empty line."""
    lines: list[Any] = [heads, ["---"] * len(heads), *rows]
    return [*(f"| {' | '.join(row)} |" for row in lines), ""]
