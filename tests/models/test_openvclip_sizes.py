"""Open-VCLIP: the sizes of a model are told from the shapes of its weights."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.models.convert import openvclip

SIZES = st.fixed_dictionaries(
    {
        "embed_dim": st.integers(1, 70),
        "quick_gelu": st.just(True),
        "vision_cfg": st.integers(1, 9).flatmap(
            lambda patch: st.fixed_dictionaries(
                {
                    "image_size": st.integers(1, 6).map(lambda side: side * patch),
                    "layers": st.integers(1, 12),
                    "width": st.integers(1, 4).map(lambda heads: 64 * heads),
                    "patch_size": st.just(patch),
                }
            )
        ),
        "text_cfg": st.tuples(st.integers(1, 99), st.integers(1, 3), st.integers(1, 11)).map(
            lambda t: {
                "context_length": t[0],
                "vocab_size": 49408,
                "width": 64 * t[1],
                "heads": t[1],
                "layers": t[2],
            }
        ),
    }
)


@settings(max_examples=25, deadline=None)
@given(SIZES)
def test_sizes_are_told_from_shapes(config: dict[str, Any]) -> None:
    from open_clip.model import CLIP

    with torch.device("meta"):
        state = CLIP(**deepcopy(config)).state_dict()
    assert openvclip.config_of(state) == config


@pytest.mark.parametrize("name", [*openvclip.RATIOS, "ViT-L-14-336-quickgelu"])
def test_published_architectures_are_recognised(name: str) -> None:
    import open_clip
    from open_clip.model import CLIP

    with torch.device("meta"):
        state = CLIP(**open_clip.get_model_config(name)).state_dict()
    assert openvclip.architecture_of(openvclip.config_of(state)) == name
    if name in openvclip.RATIOS:
        assert len(state) == (446 if "L-14" in name else 302)  # as the papers' files have
        assert openvclip.RATIOS[name] == (0.6 if "L-14" in name else 0.5)
