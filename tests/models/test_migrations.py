import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.errors import ModelError
from olmv.models.registry import SHIPPED
from olmv.models.storage.folder import read_config
from olmv.models.storage.migrations import FORMAT, migrate

OLD = {"format": "olmv-model/1", "family": "open_clip", "temporal": "mean"}


def test_version_1_gets_what_its_readers_filled_in() -> None:
    assert migrate(OLD) == OLD | {
        "format": "olmv-model/2",
        "temporal_options": None,
        "templates": "video",
        "frame_pooling": "mean",
        "description": "",
    }
    assert OLD["format"] == "olmv-model/1"


def test_what_stands_there_stays() -> None:
    full = OLD | {"templates": "none", "frame_pooling": "softmax", "description": "d", "temporal_options": {"a": 1}}
    assert migrate(full) == full | {"format": FORMAT}
    assert migrate(migrate(full)) == migrate(full)


def test_olmv_mini() -> None:
    config = json.loads((SHIPPED["olmv-mini"] / "config.json").read_text())
    migrated = migrate(config)
    assert migrated == config | {"format": FORMAT}


def test_a_current_xclip_has_no_temporal_module() -> None:
    config = {"format": FORMAT, "family": "xclip", "architecture": {"layers": 1}, "description": ""}
    assert migrate(config) == config


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, r"config\.json is not of a model that olmv saved \(it names no format, not olmv-model/2\); name a folder"),
        ({"format": "other/9"}, r"its format is 'other/9'"),
        ({"format": 2}, "its format is 2"),
        ({"format": "olmv-model/0"}, "its format is 'olmv-model/0'"),
        ({"format": "olmv-model/two"}, "is not of a model that olmv saved"),
        ({"format": "olmv-model/2\n"}, "is not of a model that olmv saved"),
        ({"format": "olmv-model/٢"}, "is not of a model that olmv saved"),
        (
            {"format": "olmv-model/3"},
            r"was saved by a newer olmv \(olmv-model/3; this one reads up to olmv-model/2\); update olmv",
        ),
        ({"format": "olmv-model/1", "temporal": "mean"}, "lacks 'family'"),
    ],
)
def test_configs_that_cannot_be_read(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        migrate(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (OLD | {"temporal": 3}, r"'temporal' in .*config\.json is 3; save or convert the model again"),
        ({"format": "olmv-model/1", "family": "open_clip"}, r"lacks 'temporal', which olmv-model/2 has"),
        (OLD | {"family": "olmv-mini"}, "lacks 'architecture', the sizes of the model"),
        ({"format": FORMAT, "family": "xclip", "description": "", "architecture": []}, "lacks 'architecture'"),
        ({"format": FORMAT, "family": "open_clip", "temporal": "mean", "description": ""}, "lacks 'temporal_options'"),
        ({"format": FORMAT, "family": "xclip", "description": ""}, "lacks 'architecture'"),
        ({"format": FORMAT, "family": "hf-xclip", "description": ""}, "is of a family 'hf-xclip', which this olmv"),
        ({"format": FORMAT, "family": [], "description": ""}, "'family' in"),
    ],
)
def test_configs_that_lack_what_their_family_needs(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=message) as caught:
        read_config(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_message_says_where_the_config_stands() -> None:
    with pytest.raises(ModelError, match=r"^m/config\.json was saved by a newer olmv"):
        migrate({"format": "olmv-model/12"}, source="m/config.json")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner, max_size=2),
    max_leaves=4,
)


@given(
    st.dictionaries(st.sampled_from([*OLD, "architecture", "templates", "x"]), _json | st.sampled_from([*OLD.values()]))
)
def test_any_config_is_current_afterwards_or_refused(config: dict[str, Any]) -> None:
    try:
        migrated = migrate(config)
    except ModelError:
        return
    assert migrated["format"] == FORMAT
    assert isinstance(migrated["family"], str)
    assert migrate(migrated) == migrated
    assert {k: v for k, v in config.items() if k != "format"}.items() <= migrated.items()
