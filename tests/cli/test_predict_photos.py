"""`olmv predict` on a folder that mixes videos, photos, and files that are neither."""

import json
import struct
import zlib
from pathlib import Path

from PIL import Image

from tests.cli.conftest import start
from tests.support.pictures import photo, png_chunk
from tests.support.report_page import ReportPage
from tests.support.samples import write_clip


def test_a_mixed_folder_end_to_end(here: Path) -> None:
    folder = here / "mixed"
    folder.mkdir()
    write_clip(folder / "a.mp4", seed=1)
    picture = Image.fromarray(photo(96, 128))
    picture.save(folder / "b.jpg")
    Image.new("RGBA", (64, 64), (200, 30, 30, 120)).save(folder / "c.png")
    turns = [picture.rotate(90 * turn) for turn in range(4)]
    turns[0].save(folder / "d.gif", save_all=True, append_images=turns[1:], duration=250)
    (folder / "e.jpg").write_bytes((folder / "b.jpg").read_bytes()[: int((folder / "b.jpg").stat().st_size * 0.9)])
    header = png_chunk(b"IHDR", struct.pack(">2I5B", 30_000, 30_000, 8, 2, 0, 0, 0))
    (folder / "f.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(b"\0")))
    (folder / "g.jpg").write_text("a page that says: not found\n")
    picture.save(folder / "photo.png")
    (folder / "photo.png").rename(folder / "h.mp4")
    (folder / "notes.txt").write_text("not looked at")

    options = ["--model", "olmv-mini", "--workers", "2", "-o", "x.jsonl", "-r", "x.html", "--explain", "-q"]
    done = start("predict", "mixed", "--labels", "dog, guitar", *options, cwd=here)
    assert done.communicate(timeout=240) == ("", "")  # nor does a decoder say anything
    assert done.returncode == 1
    rows = {Path(row["video"]).name: row for row in map(json.loads, (here / "x.jsonl").read_text().splitlines())}
    assert list(rows) == ["a.mp4", "b.jpg", "c.png", "d.gif", "e.jpg", "f.png", "g.jpg", "h.mp4"]
    counts = {name: (row["duration_s"], *row["frames"].values()) for name, row in rows.items() if not row["error"]}
    assert counts.pop("a.mp4")[1:] == (8, 8, 0, 8, 0.25, False)
    assert counts == {  # all frames that there are, so no gap
        "b.jpg": (0.0, 8, 1, 0, 1, 0.0, False),
        "c.png": (0.0, 8, 1, 0, 1, 0.0, False),
        "d.gif": (1.0, 8, 4, 0, 4, 0.0, False),
        "e.jpg": (0.0, 8, 1, 1, 1, 0.0, False),
        "h.mp4": (0.0, 8, 1, 0, 1, 0.0, False),
    }
    errors = {name: (row["error"]["type"], row["error"]["message"]) for name, row in rows.items() if row["error"]}
    assert errors["f.png"][0] == "DecodeError"
    assert "has 30000 x 30000 pixels" in errors["f.png"][1]
    assert errors["g.jpg"] == (
        "NotAVideoError",
        "mixed/g.jpg: is a text file, not a video or photo; check what it should be",
    )
    assert sum(entry.get("photo", False) for entry in ReportPage(here / "x.html").entries) == 4
