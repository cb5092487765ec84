"""Benchmarks by name, MSR-VTT, training manifests, and the walk through a data set's folder."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.datasets.benchmarks.registry import (
    BENCHMARKS,
    Benchmark,
    BenchmarkOptions,
    Split,
    load_benchmark,
    load_few_shot_training,
    write_train_manifest,
)
from olmv.datasets.benchmarks.trees import Tree, list_entry, loose, some
from olmv.errors import InputError, OutputError
from tests.support import layouts


def load(name: str, root: Path | None, **options: object) -> Benchmark:
    return load_benchmark(name, root, options=BenchmarkOptions(**options))  # type: ignore[arg-type]


class TestNames:
    def test_every_name_has_one_line_of_help(self) -> None:
        assert {"ucf101-ep1", "hmdb51-few-shot", "kinetics600-zero-shot", "msrvtt", "manifest"} <= set(BENCHMARKS)
        assert all(text and "\n" not in text for text in BENCHMARKS.values())

    def test_unknown_names(self) -> None:
        with pytest.raises(InputError, match=r"no benchmark 'ucf-ep1'; use .*ucf101-ep1"):
            load("ucf-ep1", Path())
        with pytest.raises(InputError, match=r"no benchmark '\?\?\?'; use ucf101-ep1, .*, manifest"):
            load("???", Path())

    @pytest.mark.parametrize("name", list(BENCHMARKS))
    def test_a_folder_is_needed_and_must_fit(self, name: str, tmp_path: Path) -> None:
        what = "manifest" if name == "manifest" else "data set's folder"
        with pytest.raises(InputError, match=f"{name} needs the {what}; name it$"):
            load(name, None)
        with pytest.raises(InputError, match=r"looked|not a manifest") as failure:
            load(name, tmp_path)
        assert "\n" not in str(failure.value)

    def test_few_shot_training_needs_a_folder(self) -> None:
        with pytest.raises(InputError, match="hmdb51-few-shot needs the data set's folder"):
            load_few_shot_training("hmdb51-few-shot", None, options=BenchmarkOptions(shots=2))


class TestMSRVTT:
    def test_1k_a(self, tmp_path: Path) -> None:
        benchmark = load("msrvtt", layouts.msrvtt(tmp_path))
        assert benchmark.kind == "retrieval"
        assert benchmark.labels == ("a dog runs", "a man, talking", "a dog runs")
        assert benchmark.classes == ("video7020", "video7021", "video7022")
        assert [Path(video).stem for video in benchmark.videos] == ["video7020", "video7021", "video7022"]
        assert benchmark.truth == ((0,), (1,), (2,))
        assert [(split.name, split.videos, split.labels) for split in benchmark.splits] == [
            ("1k-A", (0, 1, 2), (0, 1, 2))
        ]
        assert benchmark.choices["lists"] == "MSRVTT_JSFUSION_test.csv"
        assert benchmark.notes == (
            "MSRVTT_JSFUSION_test.csv has 3 videos, the protocol has 1000: not to be compared with others",
            "1 sentence like another one; only the video that it was written for counts as true",
        )

    @pytest.mark.parametrize("name", ["test_videodatainfo.json", "MSRVTT_data.json"])
    def test_the_full_test(self, tmp_path: Path, name: str) -> None:
        (layouts.msrvtt(tmp_path) / "test_videodatainfo.json").rename(tmp_path / name)
        benchmark = load("msrvtt-full", tmp_path)
        assert benchmark.labels == ("a man talks", "a dog runs", "somebody speaks", "a dog runs")
        assert benchmark.classes == ("video7021", "video7020", "video7021", "video7022")
        assert [Path(video).stem for video in benchmark.videos] == ["video7021", "video7020", "video7022"]
        assert benchmark.truth == ((0, 2), (1,), (3,))
        assert benchmark.splits == (Split("test", (0, 1, 2), (0, 1, 2, 3)),)
        assert benchmark.notes[1] == ("1 of 4 videos missing and left out with their sentences (first: video7023)")

    def test_lists_of_the_user(self, tmp_path: Path) -> None:
        root = layouts.msrvtt(tmp_path / "data")
        own = layouts.write(tmp_path / "mine.csv", "video_id,sentence\nvideo7022,a cat\n")
        assert load("msrvtt", root, lists=own).labels == ("a cat",)

    def test_wrong_layouts(self, tmp_path: Path) -> None:
        root = layouts.msrvtt(tmp_path)
        table, document = root / "MSRVTT_JSFUSION_test.csv", root / "test_videodatainfo.json"
        layouts.write(table, "video_id,sentence\nvideo7020,\n")
        with pytest.raises(InputError, match=r"JSFUSION_test\.csv has no sentence for video7020; get it again"):
            load("msrvtt", root)
        layouts.write(table, "video_id,sentence\nvideo1,a\n")
        with pytest.raises(
            InputError, match=r"has none of the 1 videos of MSRVTT_.*: looked below it for video1\.mp4 and"
        ):
            load("msrvtt", root)
        layouts.write(table, "video_id,sentence\n../../x/video1,a\n")
        with pytest.raises(InputError, match=r"JSFUSION_test\.csv names \.\./\.\./x/video1, outside of"):
            load("msrvtt", root)
        layouts.write(table, "video,sentence\nvideo1,a\n")
        with pytest.raises(InputError, match=r"no column 'video_id' \(columns: video, sentence\); name it so"):
            load("msrvtt", root)
        table.unlink()
        with pytest.raises(
            InputError, match=r"no list of the 1k-A test: looked below it for MSRVTT_JSFUSION_test\.csv, f"
        ):
            load("msrvtt", root)
        for text in ("[]", '{"videos": [], "sentences": [{}]}', '{"videos": [{"video_id": "a"}], "sentences": []}'):
            layouts.write(document, text)
            with pytest.raises(InputError, match="lacks 'videos' with 'split', or 'sentences'; get it again"):
                load("msrvtt-full", root)
        layouts.write(document, '{"videos": [], "sentences": []}')
        with pytest.raises(InputError, match=r"has no sentences of test videos; get test_videodatainfo\.json"):
            load("msrvtt-full", root)


class TestTrainManifest:
    def benchmark(self, label: str) -> Benchmark:
        split = Split("train", (0,), (0,))
        return Benchmark("x", "single-label", (label,), (label,), ("v.mp4",), ((0,),), (split,))

    def test_paths_are_absolute(self, tmp_path: Path) -> None:
        write_train_manifest(self.benchmark("dog"), tmp_path / "m.csv")
        assert (tmp_path / "m.csv").read_text() == f"video,labels,split\n{Path.cwd() / 'v.mp4'},dog,train\n"

    def test_what_cannot_be_written(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"m\.txt is no name for a manifest; let it end with \.csv or \.jsonl"):
            write_train_manifest(self.benchmark("dog"), tmp_path / "m.txt")
        with pytest.raises(InputError, match=r"label 'a;b' has a ';', which csv cannot hold; write a \.jsonl manifest"):
            write_train_manifest(self.benchmark("a;b"), tmp_path / "m.csv")
        write_train_manifest(self.benchmark("a;b"), tmp_path / "m.jsonl")
        assert '"labels": ["a;b"]' in (tmp_path / "m.jsonl").read_text()
        with pytest.raises(OutputError, match="its folder does not exist"):
            write_train_manifest(self.benchmark("dog"), tmp_path / "gone" / "m.csv")


class TestTree:
    def test_hidden_files_links_and_circles(self, tmp_path: Path) -> None:
        layouts.touch(tmp_path / "root", ["a/1.mp4", ".git/2.mp4", "a/.3.mp4", "b.txt", "notes.md"])
        layouts.touch(tmp_path / "real", ["4.MKV"])
        (tmp_path / "root" / "link").symlink_to(tmp_path / "real")
        (tmp_path / "real" / "back").symlink_to(tmp_path / "root")
        tree = Tree(tmp_path / "root")
        assert tree.videos == ("a/1.mp4", "link/4.MKV")
        assert tree.lists == ("b.txt",)
        assert tree.found() == "found a/, b.txt, link/, notes.md"
        (tmp_path / "empty").mkdir()
        assert Tree(tmp_path / "empty").found() == "found nothing"

    def test_thumbnails_beside_videos_are_no_videos(self, tmp_path: Path) -> None:
        layouts.touch(tmp_path, ["c/1.avi", "c/1.jpg", "c/0.png", "c/2.gif"])
        tree = Tree(tmp_path)
        assert tree.videos == ("c/1.avi", "c/2.gif")
        assert tree.video("c/1.mp4") == "c/1.avi"

    def test_the_nearest_list_and_the_best_name(self, tmp_path: Path) -> None:
        layouts.touch(tmp_path, ["z/val.csv", "a/b/val.csv", "val.txt"])
        assert Tree(tmp_path).named("val.csv", "val.txt") == "z/val.csv"
        assert Tree(tmp_path).named("x.csv", "val.txt") == "val.txt"
        assert Tree(tmp_path).named("x.csv") is None

    def test_the_whole_path_counts_where_names_repeat(self, tmp_path: Path) -> None:
        layouts.touch(tmp_path, ["a/train/c/1.mp4", "a/val/c/1.mp4", "b/val/c/1.mp4", "1.mp4", "Id.1_2.mp4"])
        tree = Tree(tmp_path)
        assert tree.video("val/c/1.avi") == "a/val/c/1.mp4"
        assert tree.video("b/val/c/1.mp4") == "b/val/c/1.mp4"
        assert tree.video("1") == "1.mp4"
        assert tree.video("Id.1_2") == "Id.1_2.mp4"  # a point in a name is not an ending
        assert tree.video("d/1.mp4", classes=("c",)) == "1.mp4"
        assert tree.video("gone") is tree.video("c/gone.mp4") is None

    def test_names_in_messages_stay_in_one_line(self, tmp_path: Path) -> None:
        layouts.touch(tmp_path, ["a\nb\x1b[31m.txt", "x" * 99])
        with pytest.raises(InputError, match=r"found a\?b\?\[31m\.txt, x{57}\.\.\.; put it there"):
            load("charades", tmp_path)

    @given(st.lists(st.sampled_from(["..", ".", "a", "b c", "x.mp4"]), min_size=1, max_size=6))
    def test_inside_is_what_resolves_below_the_root(self, parts: list[str]) -> None:
        tree = Tree(Path(__file__).parent)
        entry = "/".join(parts)
        resolved = Path(os.path.normpath(tree.root.absolute() / entry))
        if resolved.is_relative_to(tree.root.absolute()):
            assert Path(os.path.normpath(tree.root.absolute() / tree.inside(entry, "a list"))) == resolved
        else:
            with pytest.raises(InputError, match=r"a list names .*, outside of"):
                tree.inside(entry, "a list")


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("a/b.avi 3", ("a/b.avi", 3)),
        ("a b/c d.mp4 12", ("a b/c d.mp4", 12)),
        ("a/b.avi,3", ("a/b.avi", 3)),
        ("a/b.avi", ("a/b.avi", None)),
        ("Apply Eye Makeup", ("Apply Eye Makeup", None)),
        ("12", ("12", None)),
    ],
)
def test_lines_of_lists(line: str, entry: tuple[str, int | None]) -> None:
    assert list_entry(line) == entry


def test_names() -> None:
    assert loose("Fall_Floor") == loose("fall floor") == "fallfloor"
    assert some(["a", "b"]) == "a, b"
    assert some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
