"""Prompts as files: what a language model is told, in versioned YAML.

    format: olmv-prompt/1
    name: general
    version: 1
    about: one line for people
    system: what the model is (jinja2)
    user: one question (jinja2)
    several: one question about several labels (jinja2), where the prompt has one
    retry: what is added to the question after an answer that cannot be used (jinja2)
    schema: the JSON schema of the answer
    examples:
      - input: {label: "..."}
        answer: {...}

Variables are data from strangers. Whatever a `{{ }}` prints that is text is written as a JSON string with `<` and
`>` escaped, so that a label can neither end its fence nor look like a turn of the conversation.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Template, TemplateError, meta
from pydantic import BaseModel, ConfigDict, ValidationError

from olmv.errors import UsageError, reason
from olmv.io.digests import sha256_json
from olmv.io.paths import read_text, share_dir
from olmv.io.plain_yaml import load_yaml
from olmv.llm.prompt_environment import PromptEnvironment
from olmv.llm.types import Message

__all__ = ["FORMAT", "Prompt", "load_prompt", "shipped_prompts"]

FORMAT = "olmv-prompt/1"


class _Example(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    input: dict[str, Any]
    answer: dict[str, Any]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    format: str
    name: str
    version: int
    about: str = ""
    system: str
    user: str
    several: str = ""
    retry: str = ""
    schema_: dict[str, Any]
    examples: tuple[_Example, ...] = ()


@dataclass(frozen=True)
class Prompt:
    """One prompt file, ready to be filled in.

    Args:
        document: the checked content of the file.
        source: where it was read from, for errors.
    """

    document: _Document
    source: str

    @property
    def title(self) -> str:
        """Return its name and version: `general/1`."""
        return f"{self.document.name}/{self.document.version}"

    @cached_property
    def sha256(self) -> str:
        """Return the hash of everything the model is told; a comment in the file does not change it."""
        told = self.document.model_dump(mode="json", exclude={"about"})
        if not self.document.several:
            del told["several"]  # as before there was such a text
        return sha256_json(told)

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an answer."""
        return self.document.schema_

    @cached_property
    def variables(self) -> frozenset[str]:
        """Return the names that the system and user texts mention."""
        names: set[str] = set()
        for text in (self.document.system, self.document.user):
            names |= meta.find_undeclared_variables(_ENVIRONMENT.parse(text))
        return frozenset(names)

    def conversation(
        self, question: Mapping[str, Any], *, shared: Mapping[str, Any] | None = None, advice: Sequence[str] = ()
    ) -> list[Message]:
        """Return the system turn, the examples as earlier turns, and the question.

        What all questions of a run share stands first, so that a server that keeps the beginning of a prompt reads it
        once.

        Args:
            question: the variables of this question. An example has its own, or none.
            shared: the variables of all questions.
            advice: what to do better than before; given to the text `retry`, which ends the question, as `problems`.

        Raises:
            UsageError: the prompt mentions a variable that is not given.
        """
        shared = shared or {}
        variables = {**shared, **question}
        blank = {
            name: type(value)() if isinstance(value, str | list | tuple) else value for name, value in question.items()
        }
        turns = [Message("system", self._fill(self.document.system, variables))]
        for example in self.document.examples:
            turns.append(Message("user", self._fill(self.document.user, {**blank, **shared, **example.input})))
            turns.append(_answer(example.answer))
        return [*turns, self._question(self.document.user, variables, advice)]

    def conversation_about(
        self, labels: Sequence[Mapping[str, Any]], *, shared: Mapping[str, Any], advice: Sequence[str] = ()
    ) -> list[Message]:
        """Return the system turn, the examples in one earlier turn, and one question about several labels.

        Args:
            labels: the variables of every label.
            shared: as for `conversation`.
            advice: as for `conversation`.

        Raises:
            UsageError: the prompt mentions a variable that is not given.
        """
        shared = {**shared, "several": True}
        blank = {name: type(value)() for name, value in labels[0].items()}
        turns = [Message("system", self._fill(self.document.system, shared))]
        if examples := self.document.examples:
            items = [{**blank, **example.input} for example in examples]
            shown = [{"label": example.input.get("label", ""), **example.answer} for example in examples]
            count = max(example.input.get("count", shared.get("count", 1)) for example in examples)
            turns.append(
                Message("user", self._fill(self.document.several, {**shared, "count": count, "labels": items}))
            )
            turns.append(_answer({"answers": shown}))
        variables = {**shared, "labels": list(labels), "accepted": []}
        return [*turns, self._question(self.document.several, variables, advice)]

    def _question(self, text: str, variables: Mapping[str, Any], advice: Sequence[str]) -> Message:
        filled = self._fill(text, variables)
        if advice:
            filled = f"{filled}\n\n{self._fill(self.document.retry, {**variables, 'problems': list(advice)})}"
        return Message("user", filled)

    def _fill(self, text: str, variables: Mapping[str, Any]) -> str:
        try:
            return _ENVIRONMENT.filled(_template(text), variables).strip()
        except Exception as failure:  # a prompt is a program: it divides by zero, adds a text to a number
            raise UsageError(f"prompt {self.source} cannot be filled in: {reason(failure)}") from None


def _answer(answer: Mapping[str, Any]) -> Message:
    return Message("assistant", json.dumps(answer, ensure_ascii=False))


def _quoted(value: object) -> object:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e")
    if isinstance(value, Sequence):
        return ", ".join(str(_quoted(item)) for item in value)
    return value


_ENVIRONMENT = PromptEnvironment(finalize=_quoted)


@lru_cache(maxsize=64)
def _template(text: str) -> Template:
    """Compile a text once, not for every label."""
    return _ENVIRONMENT.prepared(text)


def shipped_prompts() -> dict[str, Path]:
    """Return the prompts that olmv ships, by name."""
    return {path.stem: path for path in sorted(share_dir("prompts").glob("*.yaml"))}


def load_prompt(name: str | Path) -> Prompt:
    """Read a prompt: one that ships, by its name, or the user's own, by its path.

    Raises:
        UsageError: no such prompt, or it is not a prompt file; what is wrong is named.
    """
    path = Path(name)
    if str(name) in (shipped := shipped_prompts()):
        path = shipped[str(name)]
    elif not path.suffix and not path.exists():
        raise UsageError(f"no prompt is called {str(name)!r}; there are {', '.join(shipped)}, or give a .yaml file")
    text = read_text(path)
    try:
        tree = load_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as failure:
        raise UsageError(f"{path} is not valid YAML ({' '.join(str(failure).split())})") from None
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        version = tree.get("format") if isinstance(tree, dict) else None
        raise UsageError(f"{path} is not a prompt that this version reads (format {version!r}, needed {FORMAT!r})")
    if "schema" in tree:
        tree["schema_"] = tree.pop("schema")
    try:
        document = _Document.model_validate(tree)
        for part in (document.system, document.user, document.several, document.retry):
            _template(part)
    except ValidationError as failure:
        first = failure.errors()[0]
        where = ".".join(str(part).rstrip("_") for part in first["loc"])
        raise UsageError(f"{path}: {where}: {first['msg']}; see prompts/README.md") from None
    except (TemplateError, RecursionError) as failure:
        raise UsageError(f"{path} is not a valid jinja2 text: {reason(failure)}") from None
    return Prompt(document, str(path))
