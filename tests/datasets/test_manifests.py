"""From what a person points at to a list of videos."""

import io
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from olmv.datasets.manifests import ManifestRow, expand_inputs, join_rows, read_manifest
from olmv.errors import InputError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.mp4", "a.MKV", "sub/c.webm", "notes.txt", ".hidden.mp4", ".git/d.mp4"):
        path = tmp_path / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
class TestExpand:
    def test_a_file_is_taken_whatever_it_is_called(self) -> None:
        assert expand_inputs(["clips/notes.txt"]) == ["clips/notes.txt"]

    def test_a_folder_is_searched_sorted_without_hidden_files(self) -> None:
        assert expand_inputs(["clips"]) == ["clips/a.MKV", "clips/b.mp4", "clips/sub/c.webm"]

    def test_globs(self) -> None:
        assert expand_inputs(["clips/*.mp4"]) == ["clips/b.mp4"]
        assert expand_inputs(["clips/**"]) == ["clips/a.MKV", "clips/b.mp4", "clips/sub/c.webm"]
        assert expand_inputs(["cl*"]) == expand_inputs(["clips"])

    def test_a_file_with_glob_characters_in_its_name(self, folder: Path) -> None:
        (folder / "x[1].mp4").touch()
        assert expand_inputs(["x[1].mp4"]) == ["x[1].mp4"]

    def test_each_once_in_the_order_given(self) -> None:
        assert expand_inputs(["clips/sub/c.webm", "clips", "./clips/b.mp4"]) == [
            "clips/sub/c.webm",
            "clips/a.MKV",
            "clips/b.mp4",
        ]

    def test_photos_beside_videos(self, folder: Path) -> None:
        names = [
            "a.jpg",
            "b.JPEG",
            "c.png",
            "d.apng",
            "e.webp",
            "f.bmp",
            "g.tif",
            "h.tiff",
            "i.gif",
            "x.svg",
            "x.pdf",
            ".z.jpg",
        ]
        for name in names:
            (folder / "clips" / name).touch()
        found = expand_inputs(["clips"])
        assert found == sorted([*(f"clips/{n}" for n in names[:9]), "clips/a.MKV", "clips/b.mp4", "clips/sub/c.webm"])
        assert expand_inputs(["clips/*"]) == found
        assert expand_inputs(["clips/*.jpg"]) == ["clips/a.jpg"]
        assert expand_inputs(["clips/x.svg"]) == ["clips/x.svg"]  # the reader says what is wrong with it
        (folder / "m.csv").write_text("video,labels\nclips/a.jpg,dog\nclips/b.mp4,rain\n")
        assert expand_inputs(["m.csv"]) == ["clips/a.jpg", "clips/b.mp4"]

    def test_a_linked_folder_is_followed_and_a_circle_ends(self, folder: Path) -> None:
        (folder / "real").mkdir()
        (folder / "real" / "e.mp4").touch()
        (folder / "clips" / "link").symlink_to(folder / "real")
        (folder / "real" / "back").symlink_to(folder / "clips")
        assert "clips/link/e.mp4" in expand_inputs(["clips"])

    def test_what_is_left_out_is_told(self, folder: Path) -> None:
        notes: list[str] = []
        expand_inputs(["clips/b.mp4", "clips"], note=notes.append)
        assert notes == ["clips: 3 videos and photos; 1 file left out: 1 no video or photo (1 .txt)"]
        (folder / "clips" / "notes.txt").unlink()
        expand_inputs(["clips", "clips/*.mp4"], note=notes.append)
        assert len(notes) == 1

    def test_standard_input(self) -> None:
        lines = io.StringIO("clips/b.mp4\n\nnot there.mp4\r\n")
        assert expand_inputs(["-"], stdin=lines) == ["clips/b.mp4", "not there.mp4"]

    def test_nothing_to_do(self, folder: Path) -> None:
        (folder / "empty").mkdir()
        with pytest.raises(InputError, match="no input: name a video"):
            expand_inputs([])
        with pytest.raises(InputError, match=r"no such file or folder: gone\.mp4; check the path"):
            expand_inputs(["clips", "gone.mp4"])
        with pytest.raises(InputError, match="no videos or photos in empty; there are no files at all"):
            expand_inputs(["empty"])
        with pytest.raises(InputError, match=r"\*\.mov matches no file; check it, and quote it"):
            expand_inputs(["*.mov"])
        with pytest.raises(InputError, match=r"matches 1 paths, but no video or photo; 1 file left out: 1 no video"):
            expand_inputs(["clips/*.txt"])
        with pytest.raises(InputError, match="standard input lists no paths"):
            expand_inputs(["-"], stdin=io.StringIO("\n"))


class TestManifest:
    ROWS = (
        ManifestRow("DIR/a.mp4", ("dog", "rain"), "a dog in the rain", "val"),
        ManifestRow("DIR/sub/b.mp4", None, None, None),
    )

    def expected(self, folder: Path) -> list[ManifestRow]:
        return [
            ManifestRow(row.video.replace("DIR", os.fspath(folder)), row.labels, row.caption, row.split)
            for row in self.ROWS
        ]

    def test_jsonl(self, tmp_path: Path) -> None:
        path = tmp_path / "m.jsonl"
        path.write_text(
            '{"video": "a.mp4", "labels": ["dog", "rain"], "caption": "a dog in the rain", "split": "val"}\n'
            "\n"
            '{"video": "sub/b.mp4"}\n'
        )
        assert read_manifest(path) == self.expected(tmp_path)
        assert expand_inputs([path]) == [row.video for row in self.expected(tmp_path)]

    def test_csv(self, tmp_path: Path) -> None:
        path = tmp_path / "m.csv"
        path.write_text(
            "\ufeffvideo,labels,caption,split\na.mp4,dog; rain,a dog in the rain,val\nsub/b.mp4\n",
            encoding="utf-8",
        )
        assert read_manifest(path) == self.expected(tmp_path)

    def test_parquet(self, tmp_path: Path) -> None:
        path = tmp_path / "m.parquet"
        rows = [{"video": "a.mp4", "labels": ["dog", "rain"], "caption": "a dog in the rain", "split": "val"}]
        pq.write_table(pa.Table.from_pylist([*rows, {"video": "sub/b.mp4"}]), path)
        assert read_manifest(path) == self.expected(tmp_path)

    def test_an_absolute_path_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "m.csv"
        path.write_text("video\n/data/a.mp4\n")
        assert [row.video for row in read_manifest(path)] == ["/data/a.mp4"]

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            (
                "m.csv",
                "path\na.mp4\n",
                r"row 2 has no 'video' \(columns: path\); name the path column 'video'",
            ),
            ("m.csv", "video\n", r"m\.csv lists no videos; add rows"),
            ("m.jsonl", '{"video": "a"\n', r"line 1 is not JSON \(.*\); write one object per line"),
            ("m.jsonl", "3\n", r"row 1 has no 'video' \(columns: none\)"),
            ("m.jsonl", '{"video": "a", "labels": [1]}\n', "row 1 has bad 'labels'; write a list"),
            ("m.parquet", "PAR", r"m\.parquet is not a parquet file"),
            ("m.txt", "a.mp4", r"m\.txt is not a manifest; use \.csv, \.jsonl or \.parquet"),
        ],
    )
    def test_a_bad_manifest(self, tmp_path: Path, name: str, content: str, message: str) -> None:
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(InputError, match=message):
            read_manifest(path)

    def test_not_utf8(self, tmp_path: Path) -> None:
        path = tmp_path / "m.csv"
        path.write_bytes(b"video\n\xff.mp4\n")
        with pytest.raises(InputError, match=r"is not UTF-8 \(byte 6\); save it as UTF-8"):
            read_manifest(path)

    def test_a_missing_manifest(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"cannot be read: No such file"):
            read_manifest(tmp_path / "gone.csv")

    def test_a_field_that_its_commas_cut(self, tmp_path: Path) -> None:
        path = tmp_path / "m.csv"
        path.write_text("video,labels\na.mp4,dog,\nb.mp4,rain, snow\n")
        with pytest.raises(
            InputError, match=r"line 3 has more fields than the first line, 2; put a field .* in quotes"
        ):
            read_manifest(path)

    def test_labels_do_not_matter_to_a_list_of_inputs(self, tmp_path: Path) -> None:
        path = tmp_path / "m.csv"
        path.write_text('video,labels\na.mp4,"rain, snow"\n')
        assert expand_inputs([path]) == [os.fspath(tmp_path / "a.mp4")]

    def test_rows_are_joined_by_video_and_split(self) -> None:
        rows = [
            ManifestRow("a.mp4", ("dog",)),
            ManifestRow("./a.mp4", ("cat", "dog")),
            ManifestRow("b.mp4", None, "a bird"),
            ManifestRow("b.mp4", ("bird",)),
            ManifestRow("b.mp4", None, "it flies"),
            ManifestRow("a.mp4", None, None, "val"),
        ]
        assert join_rows(rows) == (
            [
                ManifestRow("a.mp4", ("dog", "cat")),
                ManifestRow("b.mp4", ("bird",), "a bird"),
                ManifestRow("b.mp4", ("bird",), "it flies"),
                ManifestRow("a.mp4", None, None, "val"),
            ],
            2,
        )
