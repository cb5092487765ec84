"""Hold transformers' `generate` to a grammar, with llguidance."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from llguidance import LLMatcher

__all__ = ["SchemaProcessor"]


class SchemaProcessor:
    """Forbids every token with which an answer could no longer fit its grammar.

    Args:
        matchers: one per row.
        start: tokens of the (padded) prompts.
        ends: the tokens that end an answer.
    """

    def __init__(self, matchers: "Sequence[LLMatcher]", *, start: int, ends: Sequence[int]) -> None:
        self._matchers = matchers
        self._seen = start
        self._ends = list(ends)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores [B, V] with the forbidden ones at minus infinity."""
        from llguidance.torch import allocate_token_bitmask, fill_next_token_bitmask

        width = scores.shape[1]
        bits = allocate_token_bitmask(len(self._matchers), width)
        for row, matcher in enumerate(self._matchers):
            for token in input_ids[row, self._seen :].tolist():
                # a finished row is only padded
                if not matcher.is_stopped():
                    matcher.consume_token(token)
            if not matcher.is_stopped():
                fill_next_token_bitmask(matcher, bits, row)
        self._seen = input_ids.shape[1]
        # llguidance's own kernel is compiled at its first use, which needs a C++ compiler and takes seconds
        shifts = torch.arange(32, dtype=torch.int32)
        allowed = ((bits[:, :, None] >> shifts) & 1).bool().flatten(1)[:, :width]
        for row, matcher in enumerate(self._matchers):
            if matcher.is_stopped():
                allowed[row] = False
                allowed[row, self._ends] = True
        return scores.masked_fill(~allowed.to(scores.device), float("-inf"))
