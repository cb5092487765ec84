"""Count and encode what a conversation is in a model's chat template, without its weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from olmv.errors import UsageError
from olmv.io.network import is_online
from olmv.llm.pretrained import unavailable
from olmv.llm.types import Conversation, Message

__all__ = ["TEMPLATE_OPTIONS", "ChatTokenizer"]


class ChatTokenizer:
    """Read a model's tokenizer and chat template; tells how many tokens a conversation is without any weights.

    Args:
        model: a folder or a hub id.
        revision: of the hub repository.

    Raises:
        LLMUnavailableError: it cannot be had.
        UsageError: it has no chat template.
    """

    def __init__(self, model: str, *, revision: str | None = None) -> None:
        from transformers import AutoTokenizer

        self.local_only = Path(model).is_dir() or not is_online()
        """Whether only what is on this machine can be asked; the weights' loader needs to know it too."""
        try:
            self.hf: Any = AutoTokenizer.from_pretrained(
                model, revision=revision, local_files_only=self.local_only, trust_remote_code=False, padding_side="left"
            )
        except Exception as failure:
            raise unavailable(model, failure, local_only=self.local_only) from failure
        if not getattr(self.hf, "chat_template", None):
            raise UsageError(f"{model} has no chat template; use an -Instruct model")
        self._takes_system = self._can_render([Message("system", "a"), Message("user", "b")])

    def messages(self, conversation: Conversation) -> list[dict[str, str]]:
        """Return the conversation as the chat template takes it; some (Gemma 2) know no system turn."""
        turns = [{"role": message.role, "content": message.content} for message in conversation]
        if not self._takes_system and len(turns) > 1 and turns[0]["role"] == "system":
            system = turns.pop(0)
            turns[0] = {**turns[0], "content": f"{system['content']}\n\n{turns[0]['content']}"}
        return turns

    def encode(self, conversation: Conversation) -> list[int]:
        """Return the prompt's tokens, up to where the answer begins."""
        return list(
            self.hf.apply_chat_template(
                self.messages(conversation), add_generation_prompt=True, return_dict=False, **TEMPLATE_OPTIONS
            )
        )

    def count(self, conversations: Sequence[Conversation]) -> list[int]:
        """Count the prompt tokens of every conversation."""
        return [len(self.encode(conversation)) for conversation in conversations]

    def _can_render(self, conversation: Conversation) -> bool:
        from jinja2 import TemplateError

        turns = [{"role": message.role, "content": message.content} for message in conversation]
        try:
            self.hf.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        except TemplateError:
            return False
        return True


TEMPLATE_OPTIONS: dict[str, Any] = {"enable_thinking": False}
"""Variables for chat templates. An answer held to a schema leaves no room for thinking; other templates ignore it."""
