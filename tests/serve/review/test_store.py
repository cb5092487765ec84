import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from olmv.errors import InputError, OutputError
from olmv.serve.review.store import NAME, Entry, ReviewStore

REPOSITORY = Path(__file__).parents[3]

# writes verdicts and says the id of each that was acknowledged
WRITER = """
import sys
from pathlib import Path
from olmv.serve.review.store import Entry, ReviewStore
folder, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = ReviewStore(folder)
for number in range(count):
    (entry,) = store.add(Entry("verdict", "dog", name, f"{number}.mp4", number % 2 == 0))
    print(entry.id, number, flush=True)
"""


def writer(folder: Path, name: str, count: int) -> "subprocess.Popen[str]":
    arguments = [sys.executable, "-c", WRITER, str(folder), name, str(count)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment)


def test_entries_come_back_as_they_were_added(tmp_path: Path) -> None:
    entries = (
        Entry("order", "dog", "ann", value=-1.5, basis="scores"),
        Entry("verdict", "dog", "ann", "a.mp4", True, 1),
        Entry("verdict", "dog", "ann", "b.mp4", None),
        Entry("undo", "dog", "ann", "b.mp4", None, 3),
        Entry("threshold", "dog", "", value=0.25),
    )
    with contextlib.closing(ReviewStore(tmp_path / "r")) as store:
        added = store.add(*entries)
        assert [entry.id for entry in added] == [1, 2, 3, 4, 5]
        assert store.since(0) == added
    with contextlib.closing(ReviewStore(tmp_path / "r")) as store:
        assert store.since(0) == added
        assert [entry.kind for entry in store.since(3)] == ["undo", "threshold"]


def test_it_is_written_ahead_and_synced_at_every_commit(tmp_path: Path) -> None:
    with contextlib.closing(ReviewStore(tmp_path)) as store:
        assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_of_two_servers_that_begin_one_order_counts(tmp_path: Path) -> None:
    with contextlib.closing(ReviewStore(tmp_path)) as one, contextlib.closing(ReviewStore(tmp_path)) as two:
        one.begin(Entry("order", "dog", "ann", value=0.5, basis="scores"))
        two.begin(Entry("order", "dog", "bob", value=0.7, basis="scores"))
        two.begin(Entry("order", "rain", "bob", value=0.7, basis="scores"))
        two.begin(Entry("order", "dog", "bob", value=0.9, basis="other scores"))
        assert [(entry.label, entry.value) for entry in one.since(0)] == [("dog", 0.5), ("rain", 0.7), ("dog", 0.9)]


def test_servers_that_begin_many_orders_at_once_wait_for_each_other(tmp_path: Path) -> None:
    stores = [ReviewStore(tmp_path) for _ in range(2)]
    labels = [f"label {number}" for number in range(150)]

    def begin(store: ReviewStore) -> None:
        for label in labels:
            store.begin(Entry("order", label, "", value=0.0, basis="scores"))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(begin, stores))  # raises what was raised
    assert sorted(entry.label for entry in stores[0].since(0)) == sorted(labels)
    for store in stores:
        store.close()


def test_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    names = ("ann", "bob", "cid")
    processes = [writer(tmp_path, name, 60) for name in names]
    acknowledged = {
        name: process.communicate(timeout=60)[0].split("\n")[:-1]
        for name, process in zip(names, processes, strict=True)
    }
    with contextlib.closing(ReviewStore(tmp_path)) as store:
        entries = store.since(0)
    assert [entry.id for entry in entries] == list(range(1, 181))
    for name in names:
        mine = [f"{entry.id} {(entry.video or '').removesuffix('.mp4')}" for entry in entries if entry.reviewer == name]
        assert mine == acknowledged[name]
        assert len(mine) == 60


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    process = writer(tmp_path, "ann", 100_000)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(25)]
    process.send_signal(signal.SIGKILL)  # while it writes
    lines += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    whole = [line for line in lines if line.endswith("\n")]
    with contextlib.closing(ReviewStore(tmp_path)) as store:
        kept = [f"{entry.id} {(entry.video or '').removesuffix('.mp4')}\n" for entry in store.since(0)]
        assert kept[: len(whole)] == whole
        assert len(kept) - len(whole) <= 1  # one may have been kept without anybody being told
        (after,) = store.add(Entry("verdict", "dog", "bob", "z.mp4", True))
    assert after.id == len(kept) + 1


def test_a_review_of_another_version_is_refused(tmp_path: Path) -> None:
    ReviewStore(tmp_path).close()
    with contextlib.closing(sqlite3.connect(tmp_path / NAME)) as connection, connection:
        connection.execute("UPDATE about SET value = '9' WHERE name = 'schema'")
    with pytest.raises(InputError, match="is a review of schema 9, this olmv reads 1; update olmv"):
        ReviewStore(tmp_path)


def test_a_file_that_is_no_review_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("a text, longer than the header of a database " * 30)
    with pytest.raises(InputError, match="is no review, or is damaged; move it away"):
        ReviewStore(tmp_path)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        OutputError, match=r"cannot make the review folder .*: Not a directory; it lies beside what is served"
    ):
        ReviewStore(tmp_path / "file" / "r")


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    with contextlib.closing(ReviewStore(tmp_path)) as store:
        store.add(Entry("verdict", "dog", "ann", "a.mp4", True))
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite then says what it says of a full disk
        with pytest.raises(OutputError, match="the disk is full; make room, earlier verdicts are kept"):
            store.add(*[Entry("verdict", "dog", "ann", f"{number}.mp4", True) for number in range(500)])
        assert [entry.video for entry in store.since(0)] == ["a.mp4"]  # all or none
        store._connection.execute("PRAGMA max_page_count = 100000")
        assert store.add(Entry("verdict", "dog", "ann", "b.mp4", True))


def test_a_lock_that_is_not_let_go_is_told(tmp_path: Path) -> None:
    with contextlib.closing(ReviewStore(tmp_path)) as store:
        store._connection.execute("PRAGMA busy_timeout = 1")
        with contextlib.closing(sqlite3.connect(tmp_path / NAME, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(OutputError, match="another program has it locked; try again"):
                store.add(Entry("verdict", "dog", "ann", "a.mp4", True))


@pytest.mark.parametrize("gone", [NAME, f"{NAME}-wal", ""])
def test_no_verdict_is_taken_that_would_be_lost(tmp_path: Path, gone: str) -> None:
    place, away = tmp_path / "r" / gone, tmp_path / "away"
    with contextlib.closing(ReviewStore(tmp_path / "r")) as store:
        store.add(Entry("verdict", "dog", "ann", "a.mp4", True))
        place.rename(away)
        for write in (store.add, store.begin):
            with pytest.raises(OutputError, match="was moved away while it was open; put it back, or start the server"):
                write(Entry("order", "dog", "ann", value=0.5, basis="scores"))
        assert len(store.since(0)) == 1
        away.rename(place)
        store.add(Entry("verdict", "dog", "ann", "b.mp4", True))
    with contextlib.closing(ReviewStore(tmp_path / "r")) as store:
        assert [entry.video for entry in store.since(0)] == ["a.mp4", "b.mp4"]


def test_a_file_that_may_only_be_read_is_told(tmp_path: Path) -> None:
    with contextlib.closing(ReviewStore(tmp_path)) as store:
        store._connection.execute("PRAGMA query_only = 1")  # SQLite then says what it says of such a file
        with pytest.raises(OutputError, match="permission denied; choose a folder that you may write to"):
            store.add(Entry("verdict", "dog", "ann", "a.mp4", True))
