"""How labels are put to a language model: the prompt filled in, for one label or for several at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from olmv.errors import UsageError
from olmv.labels.label import MAX_LABEL_CHARS, Label, clean_text
from olmv.labels.vocabulary import Vocabulary
from olmv.llm.prompts import Prompt
from olmv.llm.types import Message

__all__ = ["MAX_CONTEXT", "Questions", "answer_tokens", "list_context"]

MAX_CONTEXT = 24
"""Labels of a list that a prompt names to tell what the list is about."""
MIN_CONTEXT = 3
"""A list of fewer labels tells nothing of their senses."""
_KNOWN = {
    *("label", "aliases", "count", "domain", "context", "meaning", "neighbours", "accepted", "problems"),
    *("labels", "several"),
}


@dataclass(frozen=True)
class Questions:
    """What is asked of the labels of a list.

    Args:
        prompt: what the model is told.
        count: attributes of a label.
        domain: what the videos are about, for prompts with a place for it.
        context: some labels of the list, for the senses of the others.
        meanings: what a dictionary says of labels, by name.
        neighbours: the labels nearest to each, by name, for prompts that ask what tells them apart.
        labels_per_prompt: labels asked for together.

    Raises:
        UsageError: the prompt asks for a domain or for neighbours that are not given, or the other way round, for other
            things than a label's attributes, or has no text for several labels.
    """

    prompt: Prompt
    count: int
    domain: str | None = None
    context: Sequence[str] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)
    neighbours: Mapping[str, Sequence[str]] = field(default_factory=dict)
    labels_per_prompt: int = 1

    def __post_init__(self) -> None:
        prompt, name = self.prompt, self.prompt.document.name
        if "domain" in prompt.variables and self.domain is None:
            raise UsageError(f'prompt {name!r} needs a domain, such as "hospital training videos"', option="domain")
        if "domain" not in prompt.variables and self.domain is not None:
            raise UsageError(f"prompt {name!r} has no place for a domain; use the prompt 'domain'", option="prompt")
        if self.domain is not None:
            clean_text(self.domain, what="domain", limit=MAX_LABEL_CHARS)
        if self.labels_per_prompt < 1:
            raise UsageError("at least 1 label per prompt is needed", option="labels_per_prompt")
        if self.labels_per_prompt > 1 and not prompt.document.several:
            raise UsageError(f"prompt {name!r} has no text for several labels; ask for one", option="labels_per_prompt")
        if unknown := prompt.variables - _KNOWN:
            known = "label, aliases, count, domain, context, meaning and neighbours"
            raise UsageError(f"prompt {prompt.source} mentions {', '.join(sorted(unknown))}; labels have {known}")
        kind = prompt.schema.get("properties", {}).get("attributes", {})
        if "label" not in prompt.variables or not isinstance(kind, dict) or kind.get("type") != "array":
            raise UsageError(
                f"prompt {prompt.source} is not one for labels: its text needs {{{{ label }}}}, its schema an array "
                "`attributes`"
            )

    @property
    def schema(self) -> dict[str, Any]:
        """Return the schema of an answer: at most as many attributes as are asked for.

        Fewer may come: a small model that has nothing more to say fills a fixed number with the same again.
        """
        schema = self.prompt.schema
        attributes = {**schema["properties"]["attributes"], "minItems": 1, "maxItems": self.count}
        one = {**schema, "properties": {**schema["properties"], "attributes": attributes}}
        if self.labels_per_prompt == 1:
            return one
        properties = {"label": {"type": "string", "maxLength": MAX_LABEL_CHARS}, **one["properties"]}
        one = {**one, "properties": properties, "required": ["label", *one.get("required", ())]}
        answers = {"type": "array", "items": one, "minItems": 1, "maxItems": self.labels_per_prompt}
        return {
            "type": "object",
            "properties": {"answers": answers},
            "required": ["answers"],
            "additionalProperties": False,
        }

    def conversation(
        self,
        labels: Sequence[Label],
        *,
        accepted: Mapping[str, Sequence[str]] | None = None,
        advice: Sequence[str] = (),
    ) -> list[Message]:
        """Return the question about one or more labels.

        Args:
            labels: what is asked for.
            accepted: attributes that labels have already, by name.
            advice: what to do better than in the last answer.
        """
        items = [self._item(label, (accepted or {}).get(label.name, ())) for label in labels]
        shared: dict[str, Any] = {"count": self.count, "context": list(self.context)}
        if self.domain is not None:
            shared["domain"] = self.domain
        if self.labels_per_prompt > 1:
            return self.prompt.conversation_about(items, shared=shared, advice=advice)
        return self.prompt.conversation(items[0], shared={**shared, "several": False}, advice=advice)

    def _item(self, label: Label, accepted: Sequence[str]) -> dict[str, Any]:
        return {
            "label": label.name,
            "aliases": list(label.aliases),
            "meaning": self.meanings.get(label.name, ""),
            "neighbours": list(self.neighbours.get(label.name, ())),
            "accepted": list(accepted),
        }


def list_context(vocabulary: Vocabulary) -> tuple[str, ...]:
    """Return labels spread over the list, in its order: the same for every label, so that prompts begin alike."""
    names = vocabulary.names
    if len(names) < MIN_CONTEXT:
        return ()
    some = min(len(names), MAX_CONTEXT)
    return tuple(names[index * len(names) // some] for index in range(some))


def answer_tokens(count: int, labels: int = 1) -> int:
    """Return the most tokens that an answer with so many attributes of so many labels may need."""
    return (40 * count + 64) * labels
