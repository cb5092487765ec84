"""Read a training config: a YAML file, or one that ships with olmv, and `key=value` overrides.

config = load_config("configs/moji_motions.yaml", overrides=["optimizer.epochs=3"])
"""

import copy
import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from olmv.errors import InputError, UsageError
from olmv.io.paths import read_text, share_dir
from olmv.io.plain_yaml import load_yaml
from olmv.train.config import TrainConfig

__all__ = ["find_config", "load_config", "parse_config"]

_OVERRIDES = ("overrides", "set_")


def find_config(name: str) -> Path:
    """Find a config: a path as it is; otherwise the config of this name that ships with olmv.

    Raises:
        InputError: neither; close matches are named.
    """
    path = Path(name)
    if path.is_file() or path.suffix in (".yaml", ".yml"):
        return path
    shipped = {p.stem: p for p in sorted(share_dir("configs").glob("*.yaml"))}
    if name not in shipped:
        close = difflib.get_close_matches(name, shipped, n=3) or list(shipped)
        raise InputError(f"no config file or shipped config is called '{name}'; there are {', '.join(close)}")
    return shipped[name]


def load_config(path: str | Path, overrides: Iterable[str] = (), *, smoke: bool = False) -> TrainConfig:
    """Read a config file.

    Args:
        path: YAML. Relative paths in it are relative to the working directory.
        overrides: `key.sub=value`, the value as YAML; later ones win.
        smoke: apply the file's own `smoke` overrides: a run of a minute that shows that everything fits.

    Raises:
        InputError: no such file, or not YAML.
        UsageError: unknown keys, bad values, bad overrides, or no smoke mode.
    """
    try:
        values = load_yaml(read_text(path, error=InputError), _Loader)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not YAML: {reason}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no keys; a config starts with `data:`")
    quick = values.pop("smoke", None)
    overrides = list(overrides)
    if not smoke:
        return parse_config(values, overrides, source=str(path))
    if not isinstance(quick, dict):
        raise UsageError(f"{path} has no `smoke` section; run it whole", option="smoke")
    small = copy.deepcopy(values)
    for key, value in quick.items():
        _put(small, str(key).split("."), value)
    try:
        return parse_config(small, overrides, source=f"{path} with its smoke section")
    except UsageError:
        parse_config(values, overrides, source=str(path))  # its own faults are told as such
        raise


def parse_config(
    values: Mapping[str, Any], overrides: Iterable[str] = (), *, source: str = "the config"
) -> TrainConfig:
    """Make a config of plain data and `key=value` overrides.

    Raises:
        UsageError: unknown keys, bad values or bad overrides.
    """
    merged = copy.deepcopy(dict(values))
    for item in overrides:
        key, sign, text = item.partition("=")
        if not sign or not key.strip():
            raise UsageError(
                f"the override {item!r} is not key=value; write for example optimizer.epochs=3", option=_OVERRIDES
            )
        try:
            value = load_yaml(text, _Loader)
        except yaml.YAMLError:
            raise UsageError(
                f"the override {item!r:.80}: the value is not YAML; put it in quotes", option=_OVERRIDES
            ) from None
        _put(merged, key.strip().split("."), value)
    return TrainConfig.from_dict(merged, source=source)


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads 1e-4 as text; people mean a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+"), list("-+.0123456789")
)


def _put(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = values.get(key)
        if not isinstance(inner, dict):
            inner = values[key] = {}
        values = inner
    values[keys[-1]] = value
