"""Kinetics in miniature: annotations, lists with numbers, class folders; class splits of Kinetics-600."""

import json
from pathlib import Path

import pytest

from olmv.datasets.benchmarks.registry import Benchmark, BenchmarkOptions, load_benchmark
from olmv.errors import InputError
from tests.support import layouts


def load(name: str, root: Path, **options: object) -> Benchmark:
    return load_benchmark(name, root, options=BenchmarkOptions(**options))  # type: ignore[arg-type]


def told(benchmark: Benchmark) -> dict[str, str]:
    """File name -> its label."""
    return {
        Path(video).name: benchmark.labels[truth[0]]
        for video, truth in zip(benchmark.videos, benchmark.truth, strict=True)
    }


class TestAnnotations:
    @pytest.mark.parametrize("name", ["val.csv", "annotations/kinetics400_val.csv", "k400/validate.csv"])
    @pytest.mark.parametrize("sorted_by_class", [True, False])
    def test_flat_files_and_class_folders(self, tmp_path: Path, name: str, sorted_by_class: bool) -> None:
        layouts.kinetics_annotations(tmp_path, name)
        files = layouts.kinetics_files()
        layouts.touch(
            tmp_path,
            [f"val/{label.replace(' ', '_') if sorted_by_class else ''}/{file}" for file, label in files.items()],
        )
        benchmark = load("kinetics400", tmp_path)
        assert told(benchmark) == files
        assert benchmark.kind == "single-label"
        assert benchmark.labels == benchmark.classes == layouts.KINETICS
        assert [(split.name, split.videos, split.labels) for split in benchmark.splits] == [
            ("validation", (0, 1, 2, 3, 4, 5), (0, 1, 2))
        ]
        assert benchmark.choices["lists"] == name
        assert benchmark.notes == ("3 classes, Kinetics-400 has 400: not to be compared with others",)

    def test_missing_videos_are_counted(self, tmp_path: Path) -> None:
        layouts.kinetics_annotations(tmp_path)
        layouts.touch(tmp_path, ["val/id-1_a.mkv", "val/id-1_b_000100_000110.mp4"])  # the first without times
        benchmark = load("kinetics400", tmp_path)
        assert told(benchmark) == {"id-1_a.mkv": layouts.KINETICS[1], "id-1_b_000100_000110.mp4": layouts.KINETICS[1]}
        assert benchmark.labels == layouts.KINETICS
        assert benchmark.notes[-1] == "4 of 6 videos of val.csv missing and left out (first: id-0_a_000000_000010)"

    def test_bad_annotations(self, tmp_path: Path) -> None:
        path = layouts.kinetics_annotations(tmp_path)
        with pytest.raises(
            InputError, match=r"has none of the 6 videos of val\.csv: looked below it for id-0_a_000000"
        ):
            load("kinetics400", tmp_path)
        layouts.write(path, "label,youtube_id,start\n")
        with pytest.raises(InputError, match=r"no column 'time_start' \(columns: label, youtube_id, start\); name it"):
            load("kinetics400", tmp_path)
        layouts.write(path, "label,youtube_id,time_start,time_end\n")
        with pytest.raises(InputError, match=r"val\.csv has no rows; get the file again"):
            load("kinetics400", tmp_path)
        for time in ("soon", "inf", "nan"):
            layouts.write(path, f"label,youtube_id,time_start,time_end\nx,abc,{time},2\n")
            with pytest.raises(InputError, match=r"val\.csv has abc without times in seconds; get the file again"):
                load("kinetics400", tmp_path)
        layouts.write(path, "label,youtube_id,time_start,time_end,split\nx,abc,1,2,train\n")
        with pytest.raises(InputError, match=r"val\.csv has no rows of the validation split; get the file for it"):
            load("kinetics400", tmp_path)
        layouts.write(path, f"label,youtube_id,time_start,time_end\n{'x' * 200_000},abc,1,2\n")
        with pytest.raises(
            InputError, match=r"val\.csv line 2 is not csv \(field larger than .*\); get the file again"
        ):
            load("kinetics400", tmp_path)


class TestLists:
    NAMES = (
        ("label_map_k400.txt", "abseiling\nbackflip (human)\ntying knot (not on a tie)\n"),
        ("k400-index2cls.json", json.dumps(dict(enumerate(layouts.KINETICS)))),
        ("kinetics_400_labels.csv", "id,name\n0,abseiling\n1,backflip (human)\n2,tying knot (not on a tie)\n"),
        ("classes.txt", "abseiling\nbackflip (human)\ntying knot (not on a tie)\n"),
    )

    @pytest.mark.parametrize(("file", "text"), NAMES)
    @pytest.mark.parametrize(("name", "mark"), [("kinetics400_val_list_videos.txt", " "), ("val.csv", ",")])
    def test_paths_and_numbers(self, tmp_path: Path, file: str, text: str, name: str, mark: str) -> None:
        files = {"abseiling/a b.mp4": 0, "backflip_(human)/c.mp4": 1, "x/d.mp4": 2}
        layouts.write(tmp_path / name, "".join(f"{path}{mark}{number}\n" for path, number in files.items()))
        layouts.write(tmp_path / "lists" / file, text)
        layouts.touch(tmp_path / "videos_val", files)
        benchmark = load("kinetics400", tmp_path)
        assert told(benchmark) == {Path(path).name: layouts.KINETICS[number] for path, number in files.items()}
        assert benchmark.choices["lists"] == name

    def test_the_users_own_list(self, tmp_path: Path) -> None:
        layouts.touch(tmp_path / "data", ["a.mp4", "b.mp4"])
        own = layouts.write(tmp_path / "mine.txt", f"{tmp_path}/data/a.mp4 1\n")
        layouts.write(tmp_path / "data" / "classes.txt", "one\ntwo\n")
        layouts.write(tmp_path / "data" / "val.csv", "b.mp4,0\n")
        benchmark = load("kinetics400", tmp_path / "data", lists=own)
        assert told(benchmark) == {"a.mp4": "two"}
        assert benchmark.choices["lists"] == "mine.txt"

    def test_bad_lists(self, tmp_path: Path) -> None:
        path = layouts.write(tmp_path / "val.txt", "a.mp4 0\n")
        layouts.touch(tmp_path, ["a.mp4"])
        looked = (
            r"has no class names of Kinetics-400, which a list with numbers needs: looked below it for label_map_k400"
        )
        with pytest.raises(InputError, match=looked + r"\.txt or .* or classes\.txt, found a\.mp4, val\.txt; put it"):
            load("kinetics400", tmp_path)
        layouts.write(tmp_path / "classes.txt", "one\n")
        layouts.write(path, "a.mp4 1\n")
        with pytest.raises(
            InputError, match=r"val\.txt has class 1, which the class names lack in a\.mp4 1; write PATH"
        ):
            load("kinetics400", tmp_path)
        layouts.write(path, "a.mp4\n")
        with pytest.raises(InputError, match=r"val\.txt has no class number in a\.mp4; write PATH NUMBER"):
            load("kinetics400", tmp_path)
        layouts.write(path, "../../etc/passwd 0\n")
        with pytest.raises(InputError, match=r"val\.txt names \.\./\.\./etc/passwd, outside of .*; correct the list"):
            load("kinetics400", tmp_path)
        for text in ("{}", '{"a": "b"}', '{"0": 1}', "[]"):
            layouts.write(tmp_path / "k400-index2cls.json", text)
            with pytest.raises(
                InputError, match=r'index2cls\.json has no class names; write \{"0": "abseiling", \.\.\.\}'
            ):
                load("kinetics400", tmp_path)
        layouts.write(tmp_path / "k400-index2cls.json", "{")
        with pytest.raises(
            InputError, match=r"k400-index2cls\.json is not JSON \(.*\); get it again|get the file again"
        ):
            load("kinetics400", tmp_path)


class TestFolders:
    def test_folders_of_classes(self, tmp_path: Path) -> None:
        layouts.touch(tmp_path, ["val/a_b_(c)/1.mp4", "val/d/2.mp4", "train/a_b_(c)/3.mp4"])
        for root, count in ((tmp_path, 2), (tmp_path / "val", 2)):
            benchmark = load("kinetics400", root)
            assert told(benchmark) == {"1.mp4": "a b (c)", "2.mp4": "d"}
            assert len(benchmark.videos) == count
        assert benchmark.classes == ("a_b_(c)", "d")
        assert benchmark.choices["lists"] == "folders of classes"
        assert load("kinetics400", tmp_path, label_style="raw").labels == ("a_b_(c)", "d")

    def test_a_whole_data_set_has_nothing_to_note(self, tmp_path: Path) -> None:
        layouts.touch(tmp_path, [f"val/class_{number}/{number}.mp4" for number in range(400)])
        assert load("kinetics400", tmp_path).notes == ()

    def test_nothing_fits(self, tmp_path: Path) -> None:
        layouts.touch(tmp_path, ["val/1.mp4", "val/2.mp4"])
        looked = r"has no Kinetics-400: looked below it for val\.csv, .* or folders of classes below val/, found val/;"
        with pytest.raises(InputError, match=looked):
            load("kinetics400", tmp_path)
        layouts.touch(tmp_path, ["val/a b/1.mp4", "val/a_b/2.mp4"])
        with pytest.raises(InputError, match="two classes have the label 'a b'; rename one, or use raw label strings"):
            load("kinetics400", tmp_path)


class TestZeroShot600:
    WORDS = ("known", "ice fishing", "arguing", "base jumping", "bottling")
    SPLITS = ((2, 1), (3, 2), (4, 1))

    def data(self, root: Path) -> Path:
        layouts.kinetics_annotations(root, classes=self.WORDS)
        layouts.touch(root / "val", layouts.kinetics_files(self.WORDS))
        return root

    def check(self, benchmark: Benchmark) -> None:
        assert benchmark.labels == ("arguing", "base jumping", "bottling", "ice fishing")
        assert [(split.name, split.labels) for split in benchmark.splits] == [
            ("split 1", (0, 3)),
            ("split 2", (0, 1)),
            ("split 3", (2, 3)),
        ]
        assert len(benchmark.videos) == 8
        for split in benchmark.splits:
            assert {benchmark.truth[index][0] for index in split.videos} == set(split.labels)
            assert len(split.videos) == 4
        files = layouts.kinetics_files(self.WORDS)
        assert told(benchmark) == {file: label for file, label in files.items() if label != "known"}

    def test_er_zsar(self, tmp_path: Path) -> None:
        root = self.data(tmp_path / "data")
        lists = layouts.er_zsar(tmp_path / "zsl220", self.WORDS, self.SPLITS)
        benchmark = load("kinetics600-zero-shot", root, lists=lists)
        self.check(benchmark)
        assert benchmark.choices["class splits"] == "tst_class_idxs.json, classes620_label_defn.json"
        assert benchmark.notes == tuple(f"split {n} has 2 classes, the protocol has 160" for n in (1, 2, 3))
        layouts.er_zsar(root / "inside", self.WORDS, self.SPLITS)
        self.check(load("kinetics600-zero-shot", root))

    def test_open_vclip_and_text(self, tmp_path: Path) -> None:
        root = self.data(tmp_path / "data")
        for number, split in enumerate(self.SPLITS, start=1):
            names = sorted(self.WORDS[index] for index in split)
            path = tmp_path / "db" / f"k600_split{number}" / "k600-openset-index2cls.json"
            layouts.write(path, json.dumps(dict(enumerate(names))))
            layouts.write(tmp_path / "text" / f"split{number}.txt", "\n".join(names))
        for lists, told_lists in (("db", "k600_split1/k600-openset-index2cls.json"), ("text", "split1.txt")):
            benchmark = load("kinetics600-zero-shot", root, lists=tmp_path / lists)
            self.check(benchmark)
            assert benchmark.choices["class splits"].startswith(told_lists)

    def test_class_folders_and_a_class_without_videos(self, tmp_path: Path) -> None:
        layouts.touch(tmp_path, ["val/ice_fishing/a.mp4", "val/arguing/b.mp4", "val/known/c.mp4"])
        layouts.er_zsar(tmp_path, self.WORDS, self.SPLITS)
        benchmark = load("kinetics600-zero-shot", tmp_path)
        assert told(benchmark) == {"a.mp4": "ice fishing", "b.mp4": "arguing"}
        assert [len(split.videos) for split in benchmark.splits] == [2, 1, 1]
        note = "2 of 4 classes have no video in folders of classes: base jumping, bottling"
        assert benchmark.notes[-1] == note

    def test_wrong_layouts(self, tmp_path: Path) -> None:
        root = self.data(tmp_path / "data")
        looked = (
            r"data has no class splits: looked for tst_class_idxs\.json with .*, or split1\.txt to split3\.txt, found"
        )
        with pytest.raises(InputError, match=looked + r" val\.csv, val/; name them with lists"):
            load("kinetics600-zero-shot", root)
        with pytest.raises(InputError, match=r"val\.csv is a file; name the folder with the class splits"):
            load("kinetics600-zero-shot", root, lists=root / "val.csv")
        lists = layouts.er_zsar(tmp_path / "lists", ["rowing", "diving"], [[0], [1]])
        with pytest.raises(
            InputError, match=r"val\.csv has no video of the classes of tst_.* \(diving, rowing\); are both"
        ):
            load("kinetics600-zero-shot", root, lists=lists)
        for splits in ([[0, 9]], [[-1]], [["0"]], [3]):
            layouts.write(lists / "tst_class_idxs.json", json.dumps(splits))
            with pytest.raises(InputError, match=r"tst_class_idxs\.json does not fit .*defn\.json; take both from the"):
                load("kinetics600-zero-shot", root, lists=lists)
        no_splits: list[list[list[int]]] = [[], [[]]]
        for nothing in no_splits:
            layouts.write(lists / "tst_class_idxs.json", json.dumps(nothing))
            with pytest.raises(InputError, match=r"tst_class_idxs\.json has no class splits; get it again"):
                load("kinetics600-zero-shot", root, lists=lists)
