"""Put rows of `olmv predict` or `olmv caption` together, with the curves of their timelines."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from olmv.caption.rows import check_row as check_caption_row
from olmv.errors import InputError, UsageError, reason
from olmv.io.atomic import check_writable, write_atomic
from olmv.io.curves import Curve, CurveFile, curves_path, write_curves
from olmv.io.journal import JsonlJournal, encode_row, is_locked
from olmv.io.prediction_fields import check_row as check_prediction_row
from olmv.io.run_journal import RunJournal, difference, journal_path, read_settings, settings_path
from olmv.merge.summary import MergeSummary

__all__ = ["merge_rows"]

_NAMED = 3


@dataclass(frozen=True)
class _Place:
    """Where the row of a video is, and what is compared of it."""

    part: int
    offset: int
    good: bool
    timeline: bool
    digest: bytes


def merge_rows(output: Path, parts: Sequence[Path], note: Callable[[str], None]) -> MergeSummary:
    """Put rows together: those of the first part, then what the next one has besides, and so on.

    A video that several parts have gets one row: a good one rather than an error, of good ones the last part's.

    Args:
        output: a .jsonl file. One that is there must have the same settings, and no video but those of the parts.
        parts: the outputs of runs whose settings are the same but for the shard.
        note: takes remarks.

    Raises:
        UsageError: other settings, or an output that is something else; nothing was done.
        InputError: a part is not there, is no such output, or is being written.
        OutputError: the output cannot be written.
    """
    if output.suffix.lower() != ".jsonl":
        raise UsageError(f"merged rows are lines of JSON; end {output} in .jsonl")
    check_writable(output)
    settings = _common_settings(parts, note)
    check = check_caption_row if "captioner" in settings else check_prediction_row
    journals = [JsonlJournal(journal_path(part)) for part in parts]
    kept: dict[str, _Place] = {}
    twice: set[str] = set()
    differing: set[str] = set()
    for number, journal in enumerate(journals):
        for video, place in _places(journal, number, check).items():
            earlier = kept.setdefault(video, place)
            if earlier is place:
                continue
            twice.add(video)
            if earlier.digest != place.digest:
                differing.add(video)
                if place.good or not earlier.good:
                    kept[video] = place
    if differing:
        named = ", ".join(sorted(differing)[:_NAMED]) + (", ..." if len(differing) > _NAMED else "")
        note(f"{len(differing)} videos have different rows ({named}): a good one holds, and of these the last part's")
    with RunJournal(output, settings, check=check) as merged:
        _check_nothing_else(output, merged, kept)
        merged.begin()
        write_atomic(output, (encode_row(journals[place.part].row_at(place.offset)) for place in kept.values()))
    written = [output]
    if any(place.timeline for place in kept.values()):
        written += _merge_curves(output, parts, kept, note)
    return MergeSummary(videos=len(kept), twice=len(twice), differing=len(differing), written=written)


def _common_settings(parts: Sequence[Path], note: Callable[[str], None]) -> dict[str, Any]:
    """Return the settings of all parts, without the shard."""
    first: dict[str, Any] | None = None
    shards: list[str] = []
    for part in parts:
        if not journal_path(part).is_file():
            raise InputError(f"no such rows: {journal_path(part)}; name outputs of olmv predict or olmv caption")
        if is_locked(journal_path(part)):
            raise InputError(f"another run is writing {part}; wait for it")
        settings = read_settings(part)
        if settings is None:
            raise InputError(
                f"{settings_path(part)}, which tells the settings of {part}, is not there or damaged; "
                "predict its videos again"
            )
        shards.append(settings.pop("shard", ""))
        first = settings if first is None else first
        if different := difference(first, settings):
            different = different.replace(" before", f" in {parts[0]}").replace(" now", f" in {part}")
            raise UsageError(f"{parts[0]} and {part} are of different runs: {different}; merge those of one run")
    _note_missing_shards(shards, note)
    return first or {}


def _note_missing_shards(shards: Sequence[str], note: Callable[[str], None]) -> None:
    counts = {shard.partition("/")[2] for shard in shards}
    if len(counts) != 1 or counts == {""}:
        return
    [count] = counts
    missing = [f"{number}/{count}" for number in range(1, int(count) + 1) if f"{number}/{count}" not in shards]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        note(f"shards {', '.join(missing[:_NAMED])}{more} are not among the parts")


def _places(journal: JsonlJournal, part: int, check: Callable[[Mapping[str, Any]], None]) -> dict[str, _Place]:
    """Return where the last row of each video is."""
    places: dict[str, _Place] = {}
    for offset, row in journal.places():
        try:
            check(row)
            video = row["video"]
            places[video] = _Place(
                part, offset, row["status"] == "ok", "segments" in row, sha256(encode_row(row)).digest()
            )
        except (ValueError, TypeError, LookupError, AttributeError) as failure:
            raise InputError(
                f"{journal.path} byte {offset} is not a row that olmv wrote ({reason(failure)}); remove that line"
            ) from None
    return places


def _check_nothing_else(output: Path, journal: RunJournal, kept: Mapping[str, _Place]) -> None:
    others = [video for video in journal.offsets() if video not in kept]
    if others:
        raise UsageError(
            f"{output} is there and has {len(others)} videos that no part has ({others[0]} is one); choose another "
            "output, or name it as a part too"
        )


def _merge_curves(
    output: Path, parts: Sequence[Path], kept: Mapping[str, _Place], note: Callable[[str], None]
) -> list[Path]:
    files = {number: CurveFile(curves_path(part)) for number, part in enumerate(parts) if curves_path(part).exists()}
    lacking = [str(part) for number, part in enumerate(parts) if number not in files]
    if lacking:
        note(f"the curves of {', '.join(lacking[:_NAMED])} are not there: those of its videos are left out")
    if not files:
        return []

    def curves() -> Iterator[Curve]:
        for video, place in kept.items():
            file = files.get(place.part)
            if file is not None and (curve := file.get(video)) is not None:
                yield replace(curve, video=video)

    write_curves(curves_path(output), curves())
    return [curves_path(output)]
