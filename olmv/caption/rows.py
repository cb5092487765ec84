"""Make and check the rows of captions.jsonl, stage by stage, and write the manifest made of them.

status "captioned"   frame captions are there, the sentence is not yet; only while a run goes on
status "ok"          with its caption, and with labels if they were asked for; `refused` says why no language model
                     made the caption where one was to
status "error"       the video cannot be read (final), or the sentence failed (frame captions are kept, the next
                     run asks again)
"""

import base64
import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from olmv.caption.captioner import FrameCaption
from olmv.io.atomic import write_atomic
from olmv.io.fields import check_fields
from olmv.io.journal import encode_row
from olmv.io.table_cells import csv_cell
from olmv.predictions import round_significant

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "check_row",
    "clean_row",
    "failed_row",
    "finished_row",
    "frame_captions_of",
    "new_row",
    "pack",
    "unpack",
    "with_caption",
    "with_frame_captions_alone",
    "with_template_caption",
    "write_csv",
    "write_manifest",
]


def new_row(
    video: str, *, captioner: str, llm: str | None, duration_s: float | None, frames: Mapping[str, int]
) -> dict[str, Any]:
    """Make a row that has no captions yet."""
    return {
        "video": video,
        "status": "captioned",
        "error": None,
        "duration_s": None if duration_s is None else round_significant(duration_s),
        "frames": dict(frames),
        "captioner": captioner,
        "llm": llm,
        "frame_captions": [],
        "caption": None,
        "similarity": None,
    }


_ROW = {
    "status": str, "error": (dict, NoneType), "caption": (str, NoneType), "similarity": (int, float, NoneType),
    "frame_captions": list,
}  # fmt: skip
_FRAME_CAPTION = {"text": str, "time_s": (int, float)}


def check_row(row: Mapping[str, Any]) -> None:
    """Make sure that a row read from a file has what later stages build on.

    Raises:
        ValueError: it lacks a field, or one holds something else; the field is named.
    """
    check_fields(row, _ROW)
    for item in row["frame_captions"]:
        check_fields(item, _FRAME_CAPTION, "frame_captions.")
    if row["error"] is not None:
        check_fields(row["error"], {"message": str}, "error.")


def failed_row(row: Mapping[str, Any], kind: str, message: str) -> dict[str, Any]:
    """Return the row with an error; its frame captions stay."""
    return {**row, "status": "error", "error": {"type": kind, "message": message}}


def with_caption(row: Mapping[str, Any], caption: str, similarity: float | None) -> dict[str, Any]:
    """Return the row with its sentence."""
    rounded = None if similarity is None else round_significant(similarity)
    return {**row, "status": "ok", "error": None, "caption": caption, "similarity": rounded}


def with_template_caption(
    row: Mapping[str, Any], caption: str, similarity: float | None, refusal: str
) -> dict[str, Any]:
    """Return the row with a caption that no language model made, and why: its sentences were refused."""
    return {**with_caption(row, caption, similarity), "llm": None, "refused": refusal}


def with_frame_captions_alone(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a video of which no one sentence is made: good as it is."""
    return {**row, "status": "ok", "error": None}


def frame_captions_of(row: Mapping[str, Any]) -> list[FrameCaption]:
    """Return the frame captions that a row keeps."""
    return [FrameCaption(float(item["time_s"]), str(item["text"])) for item in row.get("frame_captions") or ()]


def finished_row(row: Mapping[str, Any], *, with_labels: bool) -> bool:
    """Tell whether a later run has nothing left to do for the video of this row."""
    if row.get("status") == "ok":
        return not with_labels or "labels" in row
    return row.get("status") == "error" and not row.get("frame_captions")


def clean_row(row: dict[str, Any], *, stopped: str | None, min_similarity: float | None) -> dict[str, Any]:
    """Return a row as it stands in the file at the end of a run."""
    row = dict(row)
    if row["status"] == "captioned":
        row = failed_row(
            row, "LLMUnavailableError", stopped or "the run was stopped; the same command goes on from there"
        )
    if row["status"] == "ok":
        row.pop("embedding", None)
    row.pop("kept", None)
    if min_similarity is not None and row["similarity"] is not None:
        row["kept"] = row["similarity"] >= min_similarity
    return row


def pack(embedding: "Tensor") -> str:
    """Write an embedding [D] as text, in half precision: only similarities to three digits are made of it."""
    return base64.b64encode(embedding.half().numpy().tobytes()).decode("ascii")


def unpack(text: str) -> "Tensor":
    """Read what `pack` wrote, float32."""
    import torch

    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.float16).float()


def write_manifest(path: Path, rows: Callable[[], Iterable[Mapping[str, Any]]]) -> int:
    """Write videos with their labels and captions, as `olmv train` reads them; return how many labels differ.

    Labels that differ only in number ("dog", "dogs") become one. Videos whose caption fits them too badly
    (`kept` is false) are left out.

    Args:
        path: a .jsonl manifest; its `video` column is relative to its folder.
        rows: gives the rows of captions.jsonl; called twice.

    Raises:
        OutputError: it cannot be written.
    """
    counts = Counter(label for row in _usable(rows()) for label in row["labels"])
    singular = {label: _singular(label, counts) for label in counts}
    folder = path.resolve().parent

    def lines() -> Iterator[bytes]:
        for row in _usable(rows()):
            labels = list(dict.fromkeys(singular[label] for label in row["labels"]))
            video = os.path.relpath(Path(row["video"]).absolute(), folder)
            yield encode_row({"video": video, "labels": labels, "caption": row["caption"]})

    write_atomic(path, lines())
    return len(set(singular.values()))


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a line for each video, with its frame captions as lines `seconds: text` of one cell.

    Raises:
        OutputError: it cannot be written.
    """
    fields = ("video", "status", "error", "duration_s", "caption", "similarity", "labels", "frame_captions")

    def lines() -> Iterator[bytes]:
        yield (",".join(fields) + "\r\n").encode()
        for row in rows:
            frames = "\n".join(f"{item['time_s']:g}: {item['text']}" for item in row["frame_captions"])
            error = row["error"] and row["error"]["message"]
            cells = {**row, "error": error, "labels": "|".join(row.get("labels") or ()), "frame_captions": frames}
            line = io.StringIO()
            csv.writer(line).writerow(
                csv_cell(cell) if isinstance(cell, str) else cell for cell in map(cells.get, fields)
            )
            yield line.getvalue().encode("utf-8", "surrogateescape")

    write_atomic(path, lines())


def _usable(rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    return (row for row in rows if row["status"] == "ok" and row.get("labels") and row.get("kept", True))


def _singular(label: str, known: Mapping[str, int]) -> str:
    """Return the shorter form, where the videos' own labels show that it is one."""
    for ending in ("es", "s"):
        if label.endswith(ending) and label.removesuffix(ending) in known:
            return label.removesuffix(ending)
    return label
