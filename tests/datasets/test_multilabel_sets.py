"""Charades, ActivityNet, YouTube-8M lists and manifests in miniature."""

import json
from pathlib import Path

import pytest

from olmv.datasets.benchmarks.registry import Benchmark, BenchmarkOptions, load_benchmark
from olmv.errors import InputError
from olmv.labels.vocabulary import Vocabulary
from tests.support import layouts


def load(name: str, root: Path, **options: object) -> Benchmark:
    return load_benchmark(name, root, options=BenchmarkOptions(**options))  # type: ignore[arg-type]


def told(benchmark: Benchmark) -> dict[str, list[str]]:
    """File name -> its labels."""
    return {
        Path(video).name: [benchmark.labels[index] for index in truth]
        for video, truth in zip(benchmark.videos, benchmark.truth, strict=True)
    }


class TestCharades:
    def test_charades(self, tmp_path: Path) -> None:
        benchmark = load("charades", layouts.charades(tmp_path))
        assert benchmark.kind == "multi-label"
        assert benchmark.labels == ("Holding some clothes", "Putting their paper/notebook somewhere", "Sneezing")
        assert told(benchmark) == {
            "AAAA1.mp4": ["Holding some clothes", "Sneezing"],
            "BBBB2.mp4": ["Putting their paper/notebook somewhere"],
        }
        assert [(split.name, split.videos, split.labels) for split in benchmark.splits] == [("test", (0, 1), (0, 1, 2))]
        lists = "Charades/Charades_v1_test.csv, Charades/Charades_v1_classes.txt"
        assert benchmark.choices == {"label strings": "as the data set writes them", "lists": lists}
        assert benchmark.notes == (
            "1 video without an action left out, as in the official evaluation",
            f"1 of 3 videos of {lists} missing and left out (first: DDDD4)",
        )
        assert benchmark.groups == {}

    def test_groups(self, tmp_path: Path) -> None:
        root = layouts.charades(tmp_path)
        assert load("charades", root, unseen=("Sneezing",)).groups == {"seen": (0, 1), "unseen": (2,)}
        with pytest.raises(InputError, match="unseen labels Rowing are not among the labels; there are Holding some"):
            load("charades", root, unseen=("Rowing",))

    def test_wrong_layouts(self, tmp_path: Path) -> None:
        root = layouts.charades(tmp_path / "data")
        folder = root / "Charades"
        with pytest.raises(
            InputError, match=r"Charades_v1_test\.csv is a file; name the folder with the lists of Char"
        ):
            load("charades", root, lists=folder / "Charades_v1_test.csv")
        looked = (
            r"v1_480 has no class names of Charades: looked below it for Charades_v1_classes\.txt, found AAAA1\.mp4, "
        )
        with pytest.raises(InputError, match=looked):
            load("charades", root / "Charades_v1_480")
        assert len(load("charades", root / "Charades_v1_480", lists=folder).videos) == 2
        table = folder / "Charades_v1_test.csv"
        layouts.write(table, "id,actions\nAAAA1,c777 0 1\n")
        with pytest.raises(InputError, match=r"v1_test\.csv has c777, which Charades_v1_classes\.txt lacks; take both"):
            load("charades", root)
        layouts.write(table, "id,actions\n../../AAAA1,c000 0 1\n")
        with pytest.raises(InputError, match=r"Charades_v1_test\.csv names \.\./\.\./AAAA1, outside of"):
            load("charades", root)
        table.rename(folder / "Charades_v1_train.csv")
        with pytest.raises(
            InputError, match=r"has no test list of Charades: looked below it for Charades_v1_test\.csv"
        ):
            load("charades", root)
        (folder / "Charades_v1_train.csv").rename(table)
        for text in ("c000 a\nc000 b\n", "000 a\n", "c000\n"):
            layouts.write(folder / "Charades_v1_classes.txt", text)
            with pytest.raises(
                InputError, match=r"classes\.txt has \S+.*, not 'c000 Holding some clothes'; get it again"
            ):
                load("charades", root)


class TestActivityNet:
    def test_activitynet(self, tmp_path: Path) -> None:
        benchmark = load("activitynet", layouts.activitynet(tmp_path))
        assert benchmark.kind == "multi-label"
        assert benchmark.labels == ("Archery", "Surfing", "Zumba")
        assert told(benchmark) == {"v_aaa.mkv": ["Archery", "Surfing"], "-bb.webm": ["Archery"]}
        assert [(split.name, split.labels) for split in benchmark.splits] == [("validation", (0, 1, 2))]
        assert benchmark.notes == ("1 of 3 videos of activity_net.v1-3.min.json missing and left out (first: v_gone)",)

    def test_wrong_layouts(self, tmp_path: Path) -> None:
        layouts.touch(tmp_path, ["v_aaa.mkv"])
        looked = (
            r"no annotations of ActivityNet: looked below it for activity_net\.v1-3\.min\.json or .*, found v_aaa\.mkv;"
        )
        with pytest.raises(InputError, match=looked):
            load("activitynet", tmp_path)
        path = tmp_path / "activity_net.v1-3.min.json"
        for text in ("[]", "{}", '{"database": []}'):
            layouts.write(path, text)
            with pytest.raises(InputError, match="has no 'database'; get activity_net"):
                load("activitynet", tmp_path)
        entry: object
        for entry in ({"subset": "validation"}, {"annotations": []}, [], {"subset": "a", "annotations": [1]}):
            layouts.write(path, json.dumps({"database": {"a": entry}}))
            with pytest.raises(InputError, match="has videos without 'subset' and 'annotations'; get it again"):
                load("activitynet", tmp_path)
        layouts.write(path, json.dumps({"database": {"a": {"subset": "validation", "annotations": []}}}))
        with pytest.raises(InputError, match=r"has no labels of validation videos; get activity_net\.v1-3\.min\.json"):
            load("activitynet", tmp_path)
        one = {"subset": "validation", "annotations": [{"label": "x"}]}
        layouts.write(path, json.dumps({"database": {"../../a": one}}))
        with pytest.raises(InputError, match=r"v1-3\.min\.json names \S+, outside of"):
            load("activitynet", tmp_path)


class TestYouTube8M:
    def test_youtube8m(self, tmp_path: Path) -> None:
        benchmark = load("youtube8m", layouts.youtube8m(tmp_path))
        assert benchmark.labels == ("Game", "Car, racing", "Dog")
        assert told(benchmark) == {"aaa.mp4": ["Game", "Car, racing"], "bbb.mkv": ["Dog"], "ccc.webm": ["Game"]}
        assert benchmark.notes == (
            "2 labels not in vocabulary.csv left out, given 2 times: 2, 99",
            "1 of 4 videos of labels.csv, vocabulary.csv missing and left out (first: ddd)",
        )

    def test_the_users_own_list(self, tmp_path: Path) -> None:
        root = layouts.youtube8m(tmp_path / "data")
        own = layouts.write(tmp_path / "mine.csv", "video,labels\nvideos/aaa.mp4,4\n")
        benchmark = load("youtube8m", root, lists=own)
        assert told(benchmark) == {"aaa.mp4": ["Dog"]}
        assert benchmark.choices["lists"] == "mine.csv, vocabulary.csv"

    def test_wrong_layouts(self, tmp_path: Path) -> None:
        layouts.touch(tmp_path, ["aaa.mp4"])
        with pytest.raises(InputError, match=r"no names of the labels: looked below it for vocabulary\.csv, found aaa"):
            load("youtube8m", tmp_path)
        layouts.write(tmp_path / "vocabulary.csv", "Index,Name\n0,Game\n")
        with pytest.raises(InputError, match=r"no list of labels: looked below it for labels\.csv or validate\.csv or"):
            load("youtube8m", tmp_path)
        layouts.write(tmp_path / "labels.csv", "file,labels\naaa,0\n")
        with pytest.raises(
            InputError, match=r"no column video or video_id or VideoId or id \(columns: file, labels\); na"
        ):
            load("youtube8m", tmp_path)
        layouts.write(tmp_path / "labels.csv", "id,classes\naaa,0\n")
        with pytest.raises(InputError, match=r"no column labels or .* \(columns: id, classes\); name it so"):
            load("youtube8m", tmp_path)


class TestManifest:
    def rows(self, tmp_path: Path) -> Path:
        rows: list[dict[str, object]] = [
            {"video": "a.mp4", "labels": ["dog", "rain"], "split": "val"},
            {"video": "b.mp4", "labels": [], "split": "val"},
            {"video": "c.mp4", "split": "val"},
            {"video": "d.mp4", "labels": ["cat", "rain"], "split": "train"},
            {"video": "a.mp4", "labels": ["cat"], "split": "val"},
        ]
        return layouts.write(tmp_path / "m.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def test_its_own_labels(self, tmp_path: Path) -> None:
        benchmark = load("manifest", self.rows(tmp_path))
        assert benchmark.labels == ("dog", "rain", "cat")
        assert told(benchmark) == {"a.mp4": ["dog", "rain", "cat"], "b.mp4": [], "d.mp4": ["rain", "cat"]}
        assert benchmark.videos[0] == str(tmp_path / "a.mp4")
        assert benchmark.kind == "multi-label"
        assert [(split.name, split.videos, split.labels) for split in benchmark.splits] == [
            ("all", (0, 1, 2), (0, 1, 2))
        ]
        assert benchmark.choices == {"lists": "m.jsonl", "labels": "of the manifest"}
        assert benchmark.notes == (
            "1 of 5 rows without labels left out",
            "1 row for a video met before; the labels were put together",
        )

    def test_a_vocabulary_a_split_and_groups(self, tmp_path: Path) -> None:
        vocabulary = Vocabulary.from_names(["snow", "rain", "dog"])
        with pytest.raises(InputError, match=r"1 of the 3 labels that m.jsonl gives .* 'cat' for .* or leave unknown"):
            load("manifest", self.rows(tmp_path), labels=vocabulary, split="val")
        options = {"labels": vocabulary, "split": "val", "allow_unknown": True}
        benchmark = load("manifest", self.rows(tmp_path), unseen=("Dog",), **options)
        assert benchmark.labels == ("snow", "rain", "dog")
        assert told(benchmark) == {"a.mp4": ["rain", "dog"], "b.mp4": []}
        assert benchmark.splits[0].name == "val"
        assert benchmark.groups == {"seen": (0, 1), "unseen": (2,)}
        assert benchmark.choices == {"lists": "m.jsonl", "labels": "the user's vocabulary", "split": "val"}
        assert "1 label not in the vocabulary left out, given 1 time: cat" in benchmark.notes
        everything = load("manifest", self.rows(tmp_path), unseen=("dog", "rain", "cat"))
        assert everything.groups == {"unseen": (0, 1, 2)}

    def test_csv(self, tmp_path: Path) -> None:
        benchmark = load("manifest", layouts.write(tmp_path / "m.csv", "video,labels\na.mp4,dog;rain\nb.mp4,\n"))
        assert told(benchmark) == {"a.mp4": ["dog", "rain"], "b.mp4": []}

    def test_wrong_manifests(self, tmp_path: Path) -> None:
        path = self.rows(tmp_path)
        with pytest.raises(InputError, match="no rows of the split 'test'; it has val, train"):
            load("manifest", path, split="test")
        with pytest.raises(InputError, match="has none of the labels to look for; it has dog, rain, cat, name these"):
            load("manifest", path, labels=Vocabulary.from_names(["snow"]))
        bare = layouts.write(tmp_path / "bare.csv", "video\na.mp4\n")
        with pytest.raises(InputError, match=r"bare\.csv has no rows with labels; add a 'labels' column"):
            load("manifest", bare)
        with pytest.raises(
            InputError, match="no rows of the split 'val'; it has no 'split' column, so leave the split"
        ):
            load("manifest", bare, split="val")
        with pytest.raises(InputError, match="is not a manifest"):
            load("manifest", tmp_path)
