"""Rows in a file that survive a kill: torn lines, locks, a full disk, files of strangers."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olmv.errors import OutputError
from olmv.io import journal as journals
from olmv.io.atomic import write_atomic
from olmv.io.journal import JsonlJournal

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
rows = st.lists(st.dictionaries(st.text(max_size=8), plain, max_size=3), max_size=5)
in_tmp_path = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@given(before=rows, after=rows)
@in_tmp_path
def test_journal_round_trip(tmp_path: Path, before: list[Any], after: list[Any]) -> None:
    file = tmp_path / "journal.jsonl"
    file.unlink(missing_ok=True)
    for part in (before, after):
        with JsonlJournal(file) as journal:
            for row in part:
                journal.append(row)
    assert JsonlJournal(file).read() == before + after


@given(written=rows.filter(len), cut=st.integers(min_value=0), more=rows.filter(len), reading=st.booleans())
@in_tmp_path
def test_journal_torn_anywhere_keeps_every_whole_row(
    tmp_path: Path, written: list[Any], cut: int, more: list[Any], reading: bool
) -> None:
    lines = [journals.encode_row(row) for row in written]
    data = b"".join(lines)
    cut %= len(data) + 1
    whole = sum(len(b"".join(lines[: count + 1])) <= cut for count in range(len(lines)))
    file = tmp_path / "journal.jsonl"
    file.write_bytes(data[:cut])
    journal = JsonlJournal(file)
    if reading:
        assert journal.read() == written[:whole]
        assert file.read_bytes() == data[:cut]  # the torn row may be another run's: only the lock allows to cut it
    with journal:
        for row in more:
            journal.append(row)
    assert journal.read() == written[:whole] + more


def test_journal_without_a_file(tmp_path: Path) -> None:
    assert JsonlJournal(tmp_path / "none.jsonl").read() == []
    assert not (tmp_path / "none.jsonl").exists()


def test_journal_row_is_in_the_file_before_close(tmp_path: Path) -> None:
    journal = JsonlJournal(tmp_path / "j.jsonl")
    journal.append({"video": "é.mp4"})
    assert (tmp_path / "j.jsonl").read_text("utf-8") == '{"video": "é.mp4"}\n'
    journal.close()
    journal.close()


def test_journal_keeps_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    with JsonlJournal(tmp_path / "j.jsonl") as journal:
        journal.append({"video": name})
    assert os.fsencode(journal.read()[0]["video"]) == b"caf\xe9.mp4"


@pytest.mark.parametrize("content", [b"dear diary\nhalf a li", b'[1, 2]\n{"a', b"\x00\x01\n"])
def test_journal_leaves_foreign_files_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "diary.txt"
    file.write_bytes(content)
    with pytest.raises(OutputError, match="line 1 is not a row that olmv wrote; remove that line and run again"):
        JsonlJournal(file).read()
    if not content.endswith(b"\n"):
        with pytest.raises(OutputError, match="line 1 is not a row"):
            JsonlJournal(file).append({})
    assert file.read_bytes() == content


def test_journal_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot read .*: Is a directory"):
        JsonlJournal(tmp_path).read()


def test_journal_of_another_run(tmp_path: Path) -> None:
    with JsonlJournal(tmp_path / "j.jsonl") as first:
        first.append({"a": 1})
        with pytest.raises(OutputError, match=r"another run is writing .*j.jsonl; wait for it"):
            JsonlJournal(tmp_path / "j.jsonl").append({"b": 2})
    with JsonlJournal(tmp_path / "j.jsonl") as second:
        second.append({"b": 2})
    assert second.read() == [{"a": 1}, {"b": 2}]


def test_journal_on_a_full_disk_takes_the_half_row_back(tmp_path: Path) -> None:
    # a size limit stands in for the disk: the kernel cuts the write short just the same
    file = tmp_path / "j.jsonl"
    code = f"""
import resource, signal
from olmv.errors import OutputError
from olmv.io.journal import JsonlJournal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
journal = JsonlJournal({str(file)!r})
journal.append({{"a": 1}})
try:
    journal.append({{"b": "x" * 1000}})
except OutputError as failure:
    print(failure)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "the file would exceed the size limit" in done.stdout
    assert file.read_bytes() == b'{"a": 1}\n'


def test_journal_survives_sigkill(tmp_path: Path) -> None:
    file = tmp_path / "j.jsonl"
    code = f"""
import itertools
from olmv.io.journal import JsonlJournal
journal = JsonlJournal({str(file)!r})
for number in itertools.count():
    journal.append({{"number": number, "filler": "x" * 5000}})
    print(number, flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        promised = [int(child.stdout.readline()) for _ in range(50)][-1]
        child.send_signal(signal.SIGKILL)
        child.wait()
    numbers = [row["number"] for row in JsonlJournal(file).read()]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > promised


def test_journal_refuses_what_json_cannot_say(tmp_path: Path) -> None:
    with JsonlJournal(tmp_path / "j.jsonl") as journal, pytest.raises(ValueError, match="not JSON compliant"):
        journal.append({"similarity": float("nan")})
    assert journal.read() == []


def test_rows_are_found_again_by_where_they_begin(tmp_path: Path) -> None:
    with JsonlJournal(tmp_path / "j.jsonl", durable=True) as journal:
        assert journal.offsets("label") == {}
        for row in ({"label": "犬", "n": 1}, {"other": 2}, {"label": "cat", "n": 3}, {"label": "犬", "n": 4}):
            journal.append(row)
        with journal.path.open("ab") as file:
            file.write(b'{"label": "torn')
        places = journal.offsets("label")
        assert list(places) == ["犬", "cat"]
        assert journal.row_at(places["犬"]) == {"label": "犬", "n": 4}  # the last one counts
        assert journal.row_at(places["cat"])["n"] == 3
        assert journal.path.read_bytes().endswith(b"torn")
        with pytest.raises(OutputError, match="has no row at byte 10000; was it changed by hand"):
            journal.row_at(10_000)


def test_looking_at_rows_leaves_a_torn_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a"')
    assert list(JsonlJournal(path).rows()) == JsonlJournal(path).read() == [{"a": 1}]
    assert path.read_bytes() == b'{"a": 1}\n{"a"'
    with JsonlJournal(path) as journal:
        journal.open()
    assert path.read_bytes() == b'{"a": 1}\n'


def test_a_journal_that_somebody_changes_is_told(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"

    def begun() -> JsonlJournal:
        path.unlink(missing_ok=True)
        journal = JsonlJournal(path)
        journal.append({"a": 1})
        journal.check_unchanged()
        return journal

    with begun() as journal:
        path.unlink()
        with pytest.raises(OutputError, match=r"j\.jsonl was removed while this run was writing it, and its rows with"):
            journal.append({"a": 2})
    for content, size in ((b"", 0), (b'{"a": 1}\ngarbage\n', 17)):
        with begun() as journal:
            path.write_bytes(content)
            with pytest.raises(OutputError, match=rf"was changed by something else .*9 bytes were written, {size} are"):
                journal.check_unchanged()
    with begun() as journal:
        (tmp_path / "other").write_bytes(b"")
        (tmp_path / "other").replace(path)
        with pytest.raises(OutputError, match=r"9 bytes were written, 0 are there\); look at its rows, then"):
            journal.append({"a": 2})
    JsonlJournal(path).check_unchanged()  # not open: not ours to judge


def test_clearing_a_journal_takes_the_lock_first(tmp_path: Path) -> None:
    with JsonlJournal(tmp_path / "j.jsonl") as first:
        first.append({"a": 1})
        with pytest.raises(OutputError, match="another run is writing"):
            JsonlJournal(tmp_path / "j.jsonl").clear()
        assert first.read() == [{"a": 1}]
    with JsonlJournal(tmp_path / "j.jsonl") as second:
        second.clear()
        second.append({"b": 2})
        assert second.read() == [{"b": 2}]


def test_the_lock_is_on_the_file_that_has_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b"")
    lock = journals._lock

    def replaced(descriptor: int, name: Path) -> None:
        """The run before puts its finished file in place between our opening and our locking."""
        monkeypatch.setattr(journals, "_lock", lock)
        write_atomic(name, '{"a": 1}\n')
        lock(descriptor, name)

    monkeypatch.setattr(journals, "_lock", replaced)
    with JsonlJournal(path) as journal:
        journal.append({"a": 2})
    assert journal.read() == [{"a": 1}, {"a": 2}]
