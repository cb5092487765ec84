"""Foreign tokenizers, tried in a process of their own before they are loaded into this one.

They are programs of a kind: a file of 2 kB can ask for padding of 10^9 tokens, which ends the process by `abort`.
"""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from olmv.errors import ModelError, reason
from olmv.models.storage.file_checks import MAX_TOKENIZER_BYTES, check_file

__all__ = ["check_hub_tokenizer", "check_tokenizer_folder", "read_tokenizer"]

_WAIT_S = 120
_PROBE = Path(__file__).with_name("tokenizer_probe.py")
_QUIET = {
    "HF_HUB_OFFLINE": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}  # fmt: skip


def read_tokenizer(file: Path) -> Any:
    """Read a `tokenizers.Tokenizer` without padding or truncation of its own.

    Raises:
        ModelError: the file is none, or one that ends or stalls the process that loads it.
    """
    _check_tokenizer_file(file)
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.no_padding()
        tokenizer.no_truncation()
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(f"{file} cannot be read as a tokenizer ({reason(error)}); get it again") from None
    return tokenizer


def check_tokenizer_folder(folder: Path) -> None:
    """Raise ModelError where the tokenizer in this folder, which transformers is to load, cannot be used."""
    if (file := folder / "tokenizer.json").exists():
        _check_tokenizer_file(file)
        return
    names = ("vocab.json", "vocab.txt", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
    files = [path for path in sorted(folder.iterdir()) if path.name in names or path.suffix == ".model"]
    digests = ",".join(_digest(path) for path in files)
    if files and (problem := _problem("folder", str(folder), digests)) is not None:
        raise ModelError(f"the tokenizer in {folder} cannot be used: {problem}; get it again")


def check_hub_tokenizer(repo: str, config: Mapping[str, Any]) -> None:
    """Raise ModelError where the tokenizer that open_clip is to load for a model on the Hub cannot be used.

    `config` is the model's; the tokenizer is fetched here. One that cannot be had is left to open_clip to miss.
    """
    from huggingface_hub import hf_hub_download

    text = config.get("text_cfg")
    name = text.get("hf_tokenizer_name") if isinstance(text, Mapping) else None
    if not name and config:  # CLIP's own tokenizer
        return
    try:
        file = Path(hf_hub_download(str(name or repo), "tokenizer.json"))
    except Exception:  # hub, network and file errors have no common class
        return
    _check_tokenizer_file(file)


def _check_tokenizer_file(file: Path) -> None:
    digest = _digest(file)
    if digest in _shipped():
        return
    if (problem := _problem("file", str(file), digest)) is not None:
        raise ModelError(f"{file} cannot be read as a tokenizer ({problem}); get it again")


def _digest(file: Path) -> str:
    check_file(file, most=MAX_TOKENIZER_BYTES)
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{file} cannot be read as a tokenizer ({reason(error)}); get it again") from None


@lru_cache(maxsize=1)
def _shipped() -> frozenset[str]:
    """Return the digests of the tokenizers that ship with olmv, which every model fine-tuned from them has too."""
    return frozenset(_digest(file) for file in Path(__file__).parents[1].glob("*/tokenizer.json"))


@lru_cache(maxsize=256)
def _problem(kind: str, path: str, digest: str) -> str | None:
    """Tell what the probe finds wrong with this tokenizer, or None; asked once for each content (`digest`)."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_PROBE), kind, path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_WAIT_S,
            env=os.environ | _QUIET,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it was not loaded within {_WAIT_S} s"
    except OSError as error:
        return f"no process can be started to try it: {reason(error)}"
    if done.returncode < 0:
        number = -done.returncode
        name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
        return f"it takes more memory or time than a tokenizer may: its process was ended by {name}"
    verdict = done.stdout.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return None if verdict == "fit" else verdict or f"its process ended with exit code {done.returncode}"
