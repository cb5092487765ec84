"""UCF101 and HMDB51 in miniature: splits, truth, labels, draws, few-shot training."""

import csv
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.datasets.benchmarks.action_sets import half_draws, in_words
from olmv.datasets.benchmarks.registry import (
    Benchmark,
    BenchmarkOptions,
    load_benchmark,
    load_few_shot_training,
    write_train_manifest,
)
from olmv.datasets.manifests import read_manifest
from olmv.errors import InputError
from tests.support import layouts


def names_of(benchmark: Benchmark, split: int) -> list[str]:
    """The videos of a split as CLASS/NAME.avi."""
    return ["/".join(Path(benchmark.videos[index]).parts[-2:]) for index in benchmark.splits[split].videos]


def load(name: str, root: Path, **options: object) -> Benchmark:
    return load_benchmark(name, root, options=BenchmarkOptions(**options))  # type: ignore[arg-type]


class TestUCF101:
    @pytest.mark.parametrize(
        ("videos", "lists"), [("UCF-101", "ucfTrainTestlist"), ("videos", "."), (".", "deep/er/lists"), ("a/b/c", ".")]
    )
    def test_all_videos_in_every_layout(self, tmp_path: Path, videos: str, lists: str) -> None:
        benchmark = load("ucf101-ep2", layouts.ucf101(tmp_path, videos=videos, lists=lists))
        assert benchmark.kind == "single-label"
        assert benchmark.classes == layouts.UCF
        assert benchmark.labels == ("Apply Eye Makeup", "Hammering", "Hammer Throw", "Yoyo")
        assert [split.name for split in benchmark.splits] == ["all"]
        assert benchmark.splits[0].labels == (0, 1, 2, 3)
        assert len(benchmark.videos) == 24
        # the test list comes first, then the training list
        assert names_of(benchmark, 0)[:3] == [
            "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",
            "ApplyEyeMakeup/v_ApplyEyeMakeup_g02_c01.avi",
            "Hammering/v_Hammering_g01_c01.avi",
        ]
        assert all(Path(video).is_file() for video in benchmark.videos)
        for video, truth in zip(benchmark.videos, benchmark.truth, strict=True):
            assert [benchmark.classes[index] for index in truth] == [Path(video).parent.name]
        assert benchmark.notes == ("the lists have 4 classes, UCF101 has 101: not to be compared with others",)
        folder = "." if lists == "." else Path(lists).name
        assert benchmark.choices == {"label strings": "words", "lists": f"{folder}/{{train,test}}list01.txt"}

    def test_official_splits(self, tmp_path: Path) -> None:
        benchmark = load("ucf101-ep3", layouts.ucf101(tmp_path), label_style="raw")
        assert benchmark.labels == benchmark.classes == layouts.UCF
        assert [split.name for split in benchmark.splits] == ["test 1", "test 2", "test 3"]
        for number, groups in enumerate([(1, 2), (3, 4), (5, 6)]):
            wanted = [layouts.ucf_name(label, group) for label in layouts.UCF for group in groups]
            assert names_of(benchmark, number) == wanted
        assert len(benchmark.videos) == 24
        assert benchmark.choices["lists"] == "ucfTrainTestlist/{train,test}list0{1,2,3}.txt"

    def test_draws_of_half_the_classes(self, tmp_path: Path) -> None:
        benchmark = load("ucf101-ep1", layouts.ucf101(tmp_path))
        assert [split.name for split in benchmark.splits] == [f"draw {number}" for number in range(10)]
        assert [split.labels for split in benchmark.splits] == half_draws(4)
        for split in benchmark.splits:
            wanted = [index for index, truth in enumerate(benchmark.truth) if truth[0] in split.labels]
            assert list(split.videos) == wanted
            assert len(wanted) == 12
        assert benchmark.choices["draws"] == "random.Random(2023), 2 of 4 classes each"
        other = load("ucf101-ep1", tmp_path, seed=7)
        assert [split.labels for split in other.splits] == half_draws(4, seed=7) != half_draws(4)
        assert other.choices["draws"] == "random.Random(7), 2 of 4 classes each"

    def test_draws_that_the_authors_ship(self, tmp_path: Path) -> None:
        root = layouts.ucf101(tmp_path / "data")
        lists = tmp_path / "ucf101_half_test"
        layouts.write(
            lists / "0" / "test.csv", f"{layouts.ucf_name('YoYo', 1)},1\n{layouts.ucf_name('Hammering', 1)},0\n"
        )
        layouts.write(lists / "0" / "ucf101-index2cls.json", '{"0": "Hammer Throw"}')
        layouts.write(lists / "1" / "ucf101-index2cls.json", json.dumps({"0": "Apply Eye Makeup", "1": "Yoyo"}))
        layouts.write(lists / "2.txt", "YoYo\nApplyEyeMakeup\n")
        layouts.write(lists / "3" / "any.txt", "Hammering\n")
        layouts.write(lists / "10.json", '["HammerThrow"]')
        layouts.write(lists / "process.py", "")
        benchmark = load("ucf101-ep1", root, lists=lists)
        assert [split.labels for split in benchmark.splits] == [(1, 3), (0, 3), (0, 3), (1,), (2,)]
        assert set(names_of(benchmark, 3)) == {layouts.ucf_name("Hammering", group) for group in range(1, 7)}
        assert benchmark.choices["draws"] == "files of ucf101_half_test"
        assert "5 draws of classes, the protocol has 10: not to be compared with others" in benchmark.notes

    def test_bad_draws(self, tmp_path: Path) -> None:
        root = layouts.ucf101(tmp_path / "data")
        lists = tmp_path / "draws"
        with pytest.raises(InputError, match=r"no such lists: .*draws; name a folder or file"):
            load("ucf101-ep1", root, lists=lists)
        layouts.write(lists / "readme.md", "")
        looked = r"draws has no draws: looked for 0 to 9, .*index2cls\.json, found readme\.md; name the folder"
        with pytest.raises(InputError, match=looked):
            load("ucf101-ep1", root, lists=lists)
        with pytest.raises(InputError, match=r"readme\.md has no draws: looked for .*\.json; name the folder"):
            load("ucf101-ep1", root, lists=lists / "readme.md")
        path = layouts.write(lists / "0.txt", "Hammering\nJuggling\n")
        with pytest.raises(InputError, match=r"0\.txt names Juggling: no such class; the classes are ApplyEyeMakeup, "):
            load("ucf101-ep1", root, lists=lists)
        path.unlink()
        (lists / "0").mkdir()
        with pytest.raises(InputError, match=r"0 holds no draw: looked for test\.csv, .*; put one there"):
            load("ucf101-ep1", root, lists=lists)
        layouts.write(lists / "0" / "index2cls.json", "[1]")
        with pytest.raises(InputError, match=r"index2cls\.json is not a list of class names; write one"):
            load("ucf101-ep1", root, lists=lists)

    def test_reencoded_videos_and_another_spelling_of_the_folder(self, tmp_path: Path) -> None:
        root = layouts.ucf101(tmp_path, classes=("HandstandPushups", "YoYo"))
        folder = root / "UCF-101" / "HandstandPushups"
        for path in folder.iterdir():
            path.rename(path.with_suffix(".mp4"))
        folder.rename(folder.with_name("HandStandPushups"))
        benchmark = load("ucf101-ep2", root)
        assert len(benchmark.videos) == 12
        assert Counter(benchmark.truth) == {(0,): 6, (1,): 6}

    def test_videos_in_one_flat_folder(self, tmp_path: Path) -> None:
        root = layouts.ucf101(tmp_path, videos="sorted")
        (root / "flat").mkdir()
        for path in list((root / "sorted").rglob("*.avi")):
            path.rename(root / "flat" / path.name)
        benchmark = load("ucf101-ep2", root)
        assert len(benchmark.videos) == 24
        assert all(Path(video).parent.name == "flat" for video in benchmark.videos)

    def test_a_file_in_the_folder_of_another_class_is_not_taken(self, tmp_path: Path) -> None:
        root = layouts.ucf101(tmp_path)
        name = layouts.ucf_name("YoYo", 1)
        (root / "UCF-101" / name).rename(root / "UCF-101" / "Hammering" / Path(name).name)
        benchmark = load("ucf101-ep2", root)
        assert len(benchmark.videos) == 23
        assert benchmark.notes[-1] == (
            f"1 of 24 videos of ucfTrainTestlist/{{train,test}}list01.txt missing and left out (first: {name})"
        )

    def test_wrong_layouts(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"no such folder: .*gone; name the folder with the data set"):
            load("ucf101-ep2", tmp_path / "gone")
        layouts.touch(tmp_path, ["b/x.avi", "a.txt", ".hidden"])
        looked = r"has no official list: looked below it for testlist01\.txt, found a\.txt, b/; put it there"
        with pytest.raises(InputError, match=looked):
            load("ucf101-ep2", tmp_path)
        root = layouts.ucf101(tmp_path / "novideos", videos="x")
        for path in (root / "x").rglob("*.avi"):
            path.unlink()
        looked = (
            r"has none of the 24 videos of .*: looked below it for ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01\.avi and"
        )
        with pytest.raises(InputError, match=looked + r" so on, found ucfTrainTestlist/, x/; put the videos there"):
            load("ucf101-ep2", root)
        with pytest.raises(InputError, match=r"trainlist02\.txt is a file; name the folder with the official lists"):
            load("ucf101-ep3", root, lists=root / "ucfTrainTestlist" / "trainlist02.txt")
        layouts.write(root / "ucfTrainTestlist" / "testlist01.txt", "v_YoYo_g01_c01.avi\n")
        with pytest.raises(InputError, match=r"names v_YoYo_g01_c01\.avi, not CLASS/VIDEO\.avi; get the official"):
            load("ucf101-ep2", root)
        layouts.write(root / "ucfTrainTestlist" / "testlist01.txt", "\n \n")
        with pytest.raises(InputError, match=r"testlist01\.txt is empty; get it again"):
            load("ucf101-ep2", root)

    @pytest.mark.parametrize("entry", ["../../etc/passwd", "/etc/x.avi", "YoYo/../../../x.avi", "YoYo/\0.avi"])
    def test_an_entry_that_leads_out_of_the_folder(self, tmp_path: Path, entry: str) -> None:
        root = layouts.ucf101(tmp_path / "data")
        layouts.write(root / "ucfTrainTestlist" / "testlist01.txt", f"{layouts.ucf_name('YoYo', 1)}\n{entry}\n")
        with pytest.raises(InputError, match=r"testlist01\.txt names \S+, outside of .*data; correct the list"):
            load("ucf101-ep2", root)

    def test_a_whole_data_set_has_nothing_to_note(self, tmp_path: Path) -> None:
        classes = [f"Class{chr(65 + number // 26)}{chr(97 + number % 26)}" for number in range(101)]
        benchmark = load("ucf101-ep1", layouts.ucf101(tmp_path, classes=classes))
        assert benchmark.notes == ()
        assert {len(split.labels) for split in benchmark.splits} == {50}
        assert {len(split.videos) for split in benchmark.splits} == {50 * 6}

    def test_one_class_has_no_half(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="half of the classes cannot be drawn from 1; are the lists whole"):
            load("ucf101-ep1", layouts.ucf101(tmp_path, classes=("YoYo",)))


class TestHMDB51:
    @pytest.mark.parametrize("videos", ["hmdb51_org", "videos", "."])
    @pytest.mark.parametrize("lists", ["testTrainMulti_7030_splits", "splits", "."])
    def test_all_videos_in_every_layout(self, tmp_path: Path, videos: str, lists: str) -> None:
        benchmark = load("hmdb51-ep2", layouts.hmdb51(tmp_path, videos=videos, lists=lists))
        assert benchmark.classes == layouts.HMDB
        assert benchmark.labels == ("brush hair", "climb", "climb stairs", "fall floor", "sit")
        # number 0 is in neither part
        assert len(benchmark.videos) == 5 * 6
        assert not any("_0.avi" in video for video in benchmark.videos)
        assert names_of(benchmark, 0)[:2] == [
            "brush_hair/#20_brush_hair_(HD)_1.avi",
            "brush_hair/#20_brush_hair_(HD)_2.avi",
        ]
        assert Counter(benchmark.truth) == {(index,): 6 for index in range(5)}
        folder = "." if lists == "." else lists
        assert benchmark.choices["lists"] == f"{folder}/*_test_split1.txt"

    def test_official_splits_and_raw_labels(self, tmp_path: Path) -> None:
        benchmark = load("hmdb51-ep3", layouts.hmdb51(tmp_path), label_style="raw")
        assert benchmark.labels == layouts.HMDB
        for number in (1, 2, 3):
            wanted = [f"{label}/#20_{label}_(HD)_{i}.avi" for label in layouts.HMDB for i in (number, number + 1)]
            assert names_of(benchmark, number - 1) == wanted
        assert len(benchmark.videos) == 5 * 4

    def test_draws(self, tmp_path: Path) -> None:
        benchmark = load("hmdb51-ep1", layouts.hmdb51(tmp_path))
        assert [split.labels for split in benchmark.splits] == half_draws(5)
        assert all(len(split.videos) == 12 for split in benchmark.splits)
        assert benchmark.choices["draws"] == "random.Random(2023), 2 of 5 classes each"

    def test_lists_that_lie_elsewhere(self, tmp_path: Path) -> None:
        layouts.hmdb51(tmp_path, videos="data", lists="elsewhere")
        benchmark = load("hmdb51-ep2", tmp_path / "data", lists=tmp_path / "elsewhere")
        assert len(benchmark.videos) == 30
        with pytest.raises(InputError, match=r"has no official list: looked below it for brush_hair_test_split1\.txt"):
            load("hmdb51-ep2", tmp_path / "data")

    def test_wrong_layouts(self, tmp_path: Path) -> None:
        root = layouts.hmdb51(tmp_path)
        path = root / "testTrainMulti_7030_splits" / "climb_test_split1.txt"
        layouts.write(path, "a.avi 3\n")
        with pytest.raises(InputError, match=r"climb_test_split1\.txt has a\.avi 3, not 'video\.avi 0\|1\|2'; get"):
            load("hmdb51-ep2", root)
        layouts.write(path, "a.avi\n")
        with pytest.raises(InputError, match=r"has a\.avi, not 'video\.avi 0\|1\|2'"):
            load("hmdb51-ep2", root)
        path.with_name("climb_test_split2.txt").unlink()
        layouts.write(path, "a.avi 1\n")
        with pytest.raises(InputError, match=r"no such file: .*climb_test_split2\.txt"):
            load("hmdb51-ep3", root)
        layouts.write(path, "../../a.avi 1\n")
        with pytest.raises(InputError, match=r"climb_test_split1\.txt names .*a\.avi, outside of"):
            load("hmdb51-ep2", root)


class TestFewShot:
    def test_evaluates_on_the_first_test_split(self, tmp_path: Path) -> None:
        root = layouts.ucf101(tmp_path)
        benchmark = load("ucf101-few-shot", root, shots=2)
        assert names_of(benchmark, 0) == names_of(load("ucf101-ep3", root), 0)
        assert [split.name for split in benchmark.splits] == ["test 1"]
        assert benchmark.choices["training videos"] == "2 of each class of training list 1, random.Random(0)"
        assert "training videos" not in load("ucf101-few-shot", root).choices

    @pytest.mark.parametrize("name", ["ucf101-few-shot", "hmdb51-few-shot"])
    def test_the_drawn_training_videos(self, tmp_path: Path, name: str) -> None:
        root = layouts.ucf101(tmp_path / "a") if name.startswith("ucf") else layouts.hmdb51(tmp_path / "a")
        tested = set(load(name, root).videos)
        drawn = load_few_shot_training(name, root, options=BenchmarkOptions(shots=3, seed=5))
        assert [split.name for split in drawn.splits] == ["train"]
        assert Counter(drawn.truth) == {(index,): 3 for index in range(len(drawn.labels))}
        assert not tested.intersection(drawn.videos)
        again = load_few_shot_training(name, root, options=BenchmarkOptions(shots=3, seed=5))
        assert again == drawn
        others = [load_few_shot_training(name, root, options=BenchmarkOptions(shots=3, seed=i)) for i in range(4)]
        assert len({other.videos for other in others}) > 1
        assert drawn.choices["training videos"] == "3 of each class of training list 1, random.Random(5)"

    def test_they_are_written_as_a_manifest(self, tmp_path: Path) -> None:
        drawn = load_few_shot_training("ucf101-few-shot", layouts.ucf101(tmp_path), options=BenchmarkOptions(shots=2))
        for path in (tmp_path / "train.csv", tmp_path / "train.jsonl"):
            write_train_manifest(drawn, path)
            rows = read_manifest(path)
            assert [row.video for row in rows] == list(drawn.videos)
            assert [row.labels for row in rows] == [(drawn.labels[truth[0]],) for truth in drawn.truth]
            assert {row.split for row in rows} == {"train"}
        with (tmp_path / "train.csv").open(newline="") as file:
            assert next(csv.reader(file)) == ["video", "labels", "split"]

    def test_a_list_in_place_of_the_draw(self, tmp_path: Path) -> None:
        root = layouts.ucf101(tmp_path / "data")
        chosen = [layouts.ucf_name(label, group) for label in layouts.UCF for group in (6, 3)]
        path = layouts.write(tmp_path / "lists" / "train1_few_shot_2.txt", "".join(f"{name} 7\n" for name in chosen))
        for options in (BenchmarkOptions(shots=2, lists=path.parent), BenchmarkOptions(lists=path)):
            drawn = load_few_shot_training("ucf101-few-shot", root, options=options)
            assert names_of(drawn, 0) == chosen
            assert drawn.choices["training videos"] == "train1_few_shot_2.txt"
        assert load("ucf101-few-shot", root, lists=path).choices["training videos"] == "train1_few_shot_2.txt"
        with pytest.raises(InputError, match="ApplyEyeMakeup has 2 training videos, 1 are wanted; ask for another"):
            load_few_shot_training("ucf101-few-shot", root, options=BenchmarkOptions(shots=1, lists=path))
        layouts.write(path, layouts.ucf_name("YoYo", 1))  # it is tested
        with pytest.raises(InputError, match=r"names YoYo/v_YoYo_g01_c01\.avi, no training video of official list 1"):
            load("ucf101-few-shot", root, lists=path)

    def test_what_cannot_be_drawn(self, tmp_path: Path) -> None:
        root = layouts.ucf101(tmp_path / "data")
        for shots in (None, 0, -1):
            with pytest.raises(InputError, match="needs the number of training videos of a class; give 2, 4, 8 or 16"):
                load_few_shot_training("ucf101-few-shot", root, options=BenchmarkOptions(shots=shots))
        with pytest.raises(
            InputError, match="ApplyEyeMakeup has 4 training videos, 5 are wanted; ask for another number"
        ):
            load("ucf101-few-shot", root, shots=5)
        for group in (3, 4, 5):
            (root / "UCF-101" / layouts.ucf_name("YoYo", group)).unlink()
        with pytest.raises(InputError, match=r"ucf101-few-shot: \d of 16 videos of the drawn training videos missing"):
            load_few_shot_training("ucf101-few-shot", root, options=BenchmarkOptions(shots=4))
        with pytest.raises(InputError, match="'ucf101-ep1' draws no training videos; use ucf101-few-shot or hmdb51"):
            load_few_shot_training("ucf101-ep1", root, options=BenchmarkOptions(shots=2))


class TestHalfDraws:
    @given(st.integers(2, 120), st.integers(0, 2**32))
    def test_distinct_sorted_half_and_reproducible(self, count: int, seed: int) -> None:
        draws = half_draws(count, seed=seed)
        assert len(draws) == 10
        assert draws == half_draws(count, seed=seed)
        for draw in draws:
            assert len(draw) == count // 2
            assert list(draw) == sorted(set(draw))
            assert set(draw) <= set(range(count))

    def test_they_are_shuffles_in_a_row(self) -> None:
        generator = random.Random(2023)
        first, second = list(range(101)), list(range(101))
        generator.shuffle(first)
        generator.shuffle(second)
        assert half_draws(101)[:2] == [tuple(sorted(first[:50])), tuple(sorted(second[:50]))]

    def test_the_published_ones(self) -> None:
        # the first classes of draw 0 in Open-VCLIP's ucf101_half_test/0 and hmdb_half_test/0
        assert half_draws(101)[0][:13] == (0, 1, 5, 10, 11, 13, 14, 17, 18, 20, 21, 23, 24)
        assert half_draws(51)[0][:5] == (0, 3, 5, 8, 9)


def test_words() -> None:
    assert in_words("ucf101", "YoYo") == "Yoyo"
    assert in_words("ucf101", "TaiChi") == "Tai Chi"
    assert in_words("hmdb51", "flic_flac") == "flic flac"
