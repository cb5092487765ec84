"""Miniature copies of data sets in their own layouts: empty files under real-looking names, and their lists."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

UCF = ("ApplyEyeMakeup", "Hammering", "HammerThrow", "YoYo")
HMDB = ("brush_hair", "climb", "climb_stairs", "fall_floor", "sit")
KINETICS = ("abseiling", "backflip (human)", "tying knot (not on a tie)")


def touch(folder: Path, names: Iterable[str]) -> None:
    """Empty files below a folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(path: Path, text: str) -> Path:
    """A text file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def ucf_name(label: str, group: int) -> str:
    """The only video of a group of a class."""
    return f"{label}/v_{label}_g{group:02}_c01.avi"


def ucf101(
    root: Path, *, videos: str = "UCF-101", lists: str = "ucfTrainTestlist", classes: Iterable[str] = UCF
) -> Path:
    """Six groups a class; test list N has groups 2N-1 and 2N, training list N the other four."""
    classes = tuple(classes)
    touch(root / videos, [ucf_name(label, group) for label in classes for group in range(1, 7)])
    for number in (1, 2, 3):
        test = (2 * number - 1, 2 * number)
        train = [group for group in range(1, 7) if group not in test]
        lines = [ucf_name(label, group) for label in classes for group in test]
        write(root / lists / f"testlist{number:02}.txt", "\n".join(lines) + "\n")
        lines = [f"{ucf_name(label, group)} {i}" for i, label in enumerate(classes, 1) for group in train]
        write(root / lists / f"trainlist{number:02}.txt", "\r\n".join(lines) + "\r\n")
    write(root / lists / "classInd.txt", "".join(f"{i} {label}\n" for i, label in enumerate(classes, 1)))
    return root


def hmdb51(root: Path, *, videos: str = "hmdb51_org", lists: str = "testTrainMulti_7030_splits") -> Path:
    """Seven videos a class, 0 to 6; split N: N and N+1 are tested, 0 is in no part, the others are trained on."""
    for label in HMDB:
        names = [f"#20_{label}_(HD)_{number}.avi" for number in range(7)]
        touch(root / videos / label, names)
        for split in (1, 2, 3):
            codes = [0 if number == 0 else 2 if number in (split, split + 1) else 1 for number in range(7)]
            lines = [f"{name} {code} \n" for name, code in zip(names, codes, strict=True)]
            write(root / lists / f"{label}_test_split{split}.txt", "".join(lines))
    return root


def kinetics_annotations(root: Path, name: str = "val.csv", classes: Iterable[str] = KINETICS) -> Path:
    """The official csv: two validation videos a class, and a row of another split. Returns the csv's path."""
    rows = ["label,youtube_id,time_start,time_end,split"]
    for number, label in enumerate(classes):
        rows += [f"{label},id-{number}_a,{number},{number + 10},val", f"{label},id-{number}_b,100.0,110.0,validate"]
    rows.append("abseiling,trained,0,10,train")
    return write(root / name, "\n".join(rows) + "\n")


def kinetics_files(classes: Iterable[str] = KINETICS) -> dict[str, str]:
    """File name -> class, for `kinetics_annotations`."""
    files = {}
    for number, label in enumerate(classes):
        files[f"id-{number}_a_{number:06}_{number + 10:06}.mp4"] = label
        files[f"id-{number}_b_000100_000110.mp4"] = label
    return files


def er_zsar(folder: Path, words: Iterable[str], splits: Iterable[Iterable[int]]) -> Path:
    """The class splits of ER-ZSAR."""
    write(folder / "classes620_label_defn.json", json.dumps([{"word": word, "defn": "..."} for word in words]))
    write(folder / "tst_class_idxs.json", json.dumps([list(split) for split in splits]))
    return folder


def charades(root: Path) -> Path:
    """Four videos: two actions (one of them twice), one, none, and one that is missing."""
    write(
        root / "Charades" / "Charades_v1_classes.txt",
        "c000 Holding some clothes\nc001 Putting their paper/notebook somewhere\nc002 Sneezing\n",
    )
    write(
        root / "Charades" / "Charades_v1_test.csv",
        "id,subject,scene,quality,script,actions,length\n"
        'AAAA1,S,Kitchen,6,"He sneezes, then\nholds.",c002 11.90 21.20;c000 0.00 12.60;c002 22.00 23.00,30\n'
        "BBBB2,S,Hall,5,x,c001 1.00 2.00,20\nCCCC3,S,Hall,5,x,,20\nDDDD4,S,Hall,5,x,c000 1.00 2.00,20\n",
    )
    touch(root / "Charades_v1_480", ["AAAA1.mp4", "BBBB2.mp4", "CCCC3.mp4"])
    return root


def activitynet(root: Path) -> Path:
    """Two validation videos (one with two labels, in three segments), one that is missing, one of another subset."""
    segments: Mapping[str, tuple[str, list[str]]] = {
        "aaa": ("validation", ["Surfing", "Archery", "Surfing"]),
        "-bb": ("validation", ["Archery"]),
        "gone": ("validation", ["Archery"]),
        "ccc": ("training", ["Zumba"]),
    }
    database = {
        identity: {"subset": subset, "annotations": [{"label": label, "segment": [0, 1]} for label in labels]}
        for identity, (subset, labels) in segments.items()
    }
    write(root / "activity_net.v1-3.min.json", json.dumps({"database": database, "taxonomy": []}))
    touch(root / "v1-3", ["v_aaa.mkv", "-bb.webm", "v_ccc.mp4"])
    return root


def youtube8m(root: Path) -> Path:
    """Numbers separated in three ways; a label without a name, two with the same name, one that is unknown."""
    write(
        root / "vocabulary.csv",
        'Index,TrainVideoCount,Name,WikiUrl\n0,9,Game,u\n1,8,"Car, racing",u\n2,7,,u\n3,6,Game,u\n4,5,Dog,u\n',
    )
    write(root / "labels.csv", 'VideoId,Labels\naaa,"0 1"\nbbb,4;2\nccc,"[3,99]"\nddd,0\n')
    touch(root / "videos", ["aaa.mp4", "sub/bbb.mkv", "ccc.webm"])
    return root


def msrvtt(root: Path) -> Path:
    """1k-A with three videos, and the full test with the same and one more; two sentences are the same."""
    write(
        root / "MSRVTT_JSFUSION_test.csv",
        "key,vid_key,video_id,sentence\nret0,msr7020,video7020,a dog runs\nret1,msr7021,video7021,"
        '"a man, talking"\nret2,msr7022,video7022,a dog runs\n',
    )
    splits = {"video7020": "test", "video7021": "test", "video7022": "test", "video7023": "test", "video1": "train"}
    document = {
        "videos": [{"video_id": video, "split": split} for video, split in splits.items()],
        "sentences": [
            {"sen_id": number, "video_id": video, "caption": caption}
            for number, (video, caption) in enumerate(
                [
                    ("video7021", "a man talks"),
                    ("video1", "for training"),
                    ("video7020", "a dog runs"),
                    ("video7021", "somebody speaks"),
                    ("video7022", "a dog runs"),
                    ("video7023", "a car"),
                ]
            )
        ],
    }
    write(root / "test_videodatainfo.json", json.dumps(document))
    touch(root / "TestVideo", ["video7020.mp4", "video7021.mp4", "video7022.mp4"])
    return root
