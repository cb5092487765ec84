"""Other people's weight files, read without running anything that is in them.

A file is known by its first bytes, not by its name. Pickles are read by torch's restricted reader
(`weights_only=True`), which builds tensors and plain data and refuses every other class by name.
"""

import codecs
import hashlib
import math
import pickle
import re
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from olmv.errors import InputError, ModelError, reason
from olmv.models.storage.file_checks import check_file, memory_bytes

__all__ = ["check_tensors", "is_finite", "named", "read_checkpoint", "sha256_of"]

_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # how torch.save began its files before version 1.6
_HEAD_BYTES = 4096
_MAX_HEADER = 100_000_000  # of safetensors, which has the same limit
# A config that came with the weights is kept as plain data; its own class, which would run code, is not loaded.
# torch's reader fills no dictionaries but its own three, by exact type.
_STAND_INS: list[Any] = [(OrderedDict, "yacs.config.CfgNode")]
# Protocols 0 and 1 have no mark: a global, a dictionary or list of protocol 0, one of protocol 1.
_OLD_PICKLE = re.compile(
    rb"c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n(?:p\d+\n|q[\0-\x1f]|[()}\]])|\([dl]p\d+\n|[}\]]q[\0-\x1f]"
)
_NUMBERS = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
)
_SHOWN = 3


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """Read a file of `torch.save` or safetensors: names to tensors, or to whatever else was saved with them.

    Of a zip of torch every record's checksum and size is checked, so its tensors are read into memory.

    Raises:
        InputError: no such file, or a folder.
        ModelError: not a file of weights, damaged, or holding more than plain data; nothing of it was run.
    """
    if path.is_dir():
        files = sorted(f.name for f in path.iterdir() if f.suffix in (".pth", ".pyth", ".pt", ".bin", ".safetensors"))
        hint = f", such as {path / files[0]}" if files else ""
        raise InputError(f"{path} is a folder; name the file of weights{hint}")
    if path.exists():
        check_file(path, "give a file of weights", most=memory_bytes())
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from None
    if head.startswith(b"PK"):
        _check_zip(path)
        content = _torch_load(path)
    elif head.startswith(_LEGACY):
        content = _torch_load(path)
    elif _is_safetensors(head):
        content = _safetensors_load(path)
    else:
        raise ModelError(f"{path} {_what_else(head)}")
    if not isinstance(content, Mapping):
        raise ModelError(f"{path} holds {_kind(content)} and no weights by name; give a checkpoint or a state dict")
    return content


def _torch_load(path: Path) -> Any:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_STAND_INS):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=False)  # mapped, sizes go unchecked
    except pickle.UnpicklingError as error:
        match = re.search(r"GLOBAL (\S+) was not|unsupported GLOBAL (\S+) whose", str(error))
        what = f"'{ascii((match[1] or match[2])[:80])[1:-1]}', which is code" if match else "what could be code"
        raise ModelError(
            f"{path} holds {what}, not only weights; nothing of it was run. Get the file from its authors, or have "
            "its weights saved as safetensors"
        ) from None
    except Exception as error:  # a damaged pickle can fail in any way
        raise _damaged(path, error) from None


def _safetensors_load(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path} is damaged or cut off ({reason(error)}); download it again")


def _check_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, struct.error) as error:
        raise _damaged(path, error) from None
    names = [member.filename.rpartition("/")[2] for member in members]
    if "constants.pkl" in names:
        raise ModelError(
            f"{path} is a TorchScript archive, which holds code; for OpenAI's own weights give "
            "ViT-B-16-quickgelu/openai as the original instead of their file"
        )
    if "data.pkl" not in names:
        raise ModelError(f"{path} is a zip archive, but none of torch; unpack it and name the file of weights in it")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):  # and could unpack to any size
        raise ModelError(f"{path} was packed again after torch had saved it; give the file as its authors saved it")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise _damaged(path, ValueError("its records claim more than there is"))
    try:
        with zipfile.ZipFile(path) as archive:
            bad_record = archive.testzip()
    except Exception as error:  # a damaged archive can fail in any way
        raise _damaged(path, error) from None
    if bad_record is not None:
        raise _damaged(path, ValueError(f"record {bad_record!a:.100} does not have its checksum"))


def _is_safetensors(head: bytes) -> bool:
    return len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= _MAX_HEADER


def _what_else(head: bytes) -> str:
    """Tell what a file with these first bytes is, when it is no checkpoint: the end of a sentence."""
    if not head:
        return "is empty; download it again"
    if (head.startswith(b"\x80") and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")) or _OLD_PICKLE.match(head):
        return "is a pickle that torch.save did not write, so it could hold code; give a file of torch.save"
    if head[257:262] == b"ustar":
        return "is a tar archive, as the first versions of torch wrote it; save its weights with torch.save again"
    if head.startswith(b"version https://git-lfs"):
        return "is only a pointer of Git LFS, not the weights; fetch them with git lfs pull"
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|\?xml|!--)", head, re.IGNORECASE):
        return (
            "is a web page and no checkpoint: some sites, such as Google Drive, answer so where a large download has "
            "to be confirmed; download it in a browser"
        )
    if text := _text(head):
        return f"is a text file (it begins with {text[:30]!a}), no checkpoint; download it again"
    return f"is no checkpoint that olmv knows (it begins with bytes {head[:4].hex(' ')}); give a file of torch.save"


def _text(head: bytes) -> str:
    """Return these first bytes as text; empty where they are none. The last character may be cut."""
    try:
        return "" if b"\0" in head else codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return ""


def _kind(value: Any) -> str:
    return "one tensor" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def check_tensors(state: Mapping[Any, Any], source: str) -> None:
    """Raise ModelError unless every value is a plain tensor, whole in its file, of finite numbers.

    The message begins with `source`, counts the offenders and names the first few.
    """
    odd: list[str] = []
    hollow: list[str] = []
    broken: list[str] = []
    for name, value in state.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized or value.is_meta:
            odd.append(f"{name} ({_kind(value) if not isinstance(value, Tensor) else 'a special tensor'})")
        elif value.dtype not in _NUMBERS:
            odd.append(f"{name} (of {str(value.dtype).removeprefix('torch.')})")
        elif value.untyped_storage().nbytes() < value.numel() * value.element_size():
            hollow.append(str(name))  # a few bytes that claim to be gigabytes, by a stride of zero
        elif not is_finite(value):
            broken.append(str(name))
    for offenders, what in (
        (odd, "entries are no plain tensors"),
        (hollow, "tensors are larger than their data"),
        (broken, "tensors have values that are no finite numbers"),
    ):
        if offenders:
            raise ModelError(
                f"{source}: {len(offenders)} {what}: {named(offenders)}; give the file as its authors saved it"
            )


def is_finite(value: Tensor) -> bool:
    """Tell whether every number of a tensor of any shape and kind is a finite one.

    The least and the greatest tell, without a copy of the tensor.
    """
    if not value.is_floating_point() or value.numel() == 0:
        return True
    return all(math.isfinite(float(end)) for end in value.detach().aminmax())


def named(names: list[str]) -> str:
    """List the first few names, escaped to stay on one line whoever chose them, and count the rest."""
    shown = ", ".join(ascii(name[:80]) for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def sha256_of(path: Path) -> str:
    """Return the hexadecimal digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
