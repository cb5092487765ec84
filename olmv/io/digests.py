"""Hash plain data."""

import hashlib
import json

__all__ = ["sha256_json"]


def sha256_json(obj: object) -> str:
    """Return the SHA-256 (hexadecimal) of plain data, the same for equal data whatever the order of its keys."""
    text = json.dumps(obj, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
