"""What every model has: scalars that keep their precision, whatever is done to the weights."""

import copy

import pytest
import torch

from olmv.models.mini.towers import MiniTowers
from tests.models.kinds import towers_of
from tests.models.xclip_folders import tiny_xclip
from tests.support.tiny import tiny_model


def test_scalars_stay_in_float32() -> None:
    for model in (tiny_model(temporal="transformer"), tiny_xclip()):
        half = copy.deepcopy(model).to(torch.bfloat16)
        assert half.dtype == torch.bfloat16
        assert {w.dtype for w in half.parameters() if w.ndim} == {torch.bfloat16}
        assert {w.dtype for w in half.parameters() if not w.ndim} == {torch.float32}
        assert (half.logit_scale, half.logit_bias) == (model.logit_scale, model.logit_bias)
        assert half.half().float().logit_scale == model.logit_scale


def test_another_precision_has_another_fingerprint() -> None:
    model = tiny_model()
    before = model.fingerprint
    assert model.to(torch.bfloat16).fingerprint != before


def test_optimizers_keep_their_parameters_and_gradients_fit() -> None:
    model = tiny_model().requires_grad_(True)
    scale = towers_of(model, MiniTowers).log_scale
    optimizer = torch.optim.AdamW([scale], lr=0.1)
    torch.autograd.backward(scale * 2)
    before = model.to(torch.bfloat16).logit_scale
    optimizer.step()
    assert model.logit_scale < before


def test_a_model_without_memory_can_get_some() -> None:
    model = tiny_model().to("meta").to_empty(device="cpu")
    model.load_state_dict(tiny_model().state_dict())
    assert model.logit_scale == pytest.approx(tiny_model().logit_scale)
