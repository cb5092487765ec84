"""Rows of captions that a person edited are named before anything builds on them."""

from typing import Any

import pytest

from olmv.caption.rows import check_row, failed_row, new_row, with_caption

NEW = new_row("a.mp4", captioner="labels:olmv-mini", llm=None, duration_s=1.0, frames={})
CAPTIONED = {**NEW, "frame_captions": [{"time_s": 0.5, "text": "a dog"}]}


@pytest.mark.parametrize(
    "row", [NEW, CAPTIONED, with_caption(CAPTIONED, "A dog.", 0.3), failed_row(NEW, "CaptionError", "nothing")]
)
def test_what_olmv_writes_is_sound(row: dict[str, Any]) -> None:
    check_row(row)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": None}, "its 'status' is odd"),
        ({"similarity": "high"}, "its 'similarity' is odd"),
        ({"frame_captions": [{"time_s": "0.5", "text": "a dog"}]}, "its 'frame_captions.time_s' is odd"),
        ({"error": {"type": "CaptionError"}}, "its 'error.message' is missing"),
        ({"caption": ...}, "its 'caption' is missing"),
    ],
)
def test_what_olmv_did_not_write_is_named(change: dict[str, Any], message: str) -> None:
    row = {key: value for key, value in (NEW | change).items() if value is not ...}
    with pytest.raises(ValueError, match=message):
        check_row(row)
