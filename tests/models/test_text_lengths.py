"""Texts of many lengths through a text tower, in groups, against all of them padded to its context."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from olmv.models.clip.own_towers import OwnTowers
from olmv.models.clip.tokens import encode_by_length
from olmv.models.lite.towers import LiteTowers
from olmv.models.mini.towers import MiniTowers
from tests.models.kinds import towers_of
from tests.models.test_lite import tiny_lite
from tests.support.tiny import tiny_model

CPU = torch.device("cpu")
MANY = ["far longer than the context " * 3, *("abcdefghijklmnopqrstuvwxyz"[: n % 21] for n in range(75)), "", "dog"]


@pytest.fixture(params=["mini", "lite"])
def towers(request: pytest.FixtureRequest, tmp_path: Path) -> OwnTowers:
    if request.param == "mini":
        return towers_of(tiny_model(), MiniTowers)
    return towers_of(tiny_lite(tmp_path), LiteTowers)


@torch.no_grad()
@pytest.mark.parametrize("texts", [MANY, MANY[:1], MANY[1:9], ["dog"] * 50, MANY[:1] + ["dog"] * 50])
def test_embeddings_are_those_of_texts_padded_to_the_context(towers: OwnTowers, texts: list[str]) -> None:
    whole = [pad(part, (0, towers.context_length - part.shape[1])) for part in towers.token_ids(texts)]
    expected = towers.textual(*whole)
    assert len(texts) < 51 or (expected[0] - expected[-1]).abs().max() > 1e-3
    torch.testing.assert_close(towers.text(texts), expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_one_long_text_makes_no_others_long(towers: OwnTowers) -> None:
    shapes: list[tuple[int, ...]] = []
    hook = towers.textual.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    towers.text([MANY[0], *["dog"] * 64])
    hook.remove()
    assert shapes == [(64, 5), (1, 16)]


def test_gradients_reach_every_text(towers: OwnTowers) -> None:
    towers.requires_grad_(True)
    towers.text([MANY[0], *["dog"] * 40])[0].sum().backward()  # type: ignore[no-untyped-call]
    assert any(weight.grad is not None and bool(weight.grad.any()) for weight in towers.textual.parameters())


@pytest.mark.parametrize(
    ("lengths", "device", "groups"),
    [
        ([], CPU, [[]]),
        ([3], CPU, [[0]]),
        ([5, 3, 4], CPU, [[1, 2, 0]]),
        ([9, *[4] * 64, 9], CPU, [[*range(1, 65)], [0, 65]]),
        ([*range(1, 131)], CPU, [[*range(64)], [*range(64, 128)], [128, 129]]),
        ([*range(1, 131)], torch.device("meta"), [[*range(130)]]),
    ],
)
def test_groups_are_of_like_length(lengths: list[int], device: torch.device, groups: list[list[int]]) -> None:
    seen: list[list[int]] = []

    def encode(places: list[int]) -> Tensor:
        seen.append(places)
        return torch.tensor(places, dtype=torch.float32)[:, None]

    assert encode_by_length(lengths, encode, device=device).flatten().tolist() == [*range(len(lengths))]
    assert seen == groups
