"""MSR-VTT (Xu et al., CVPR 2016) as text-to-video retrieval: the 1k-A test, and the full test."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from olmv.datasets.benchmarks.trees import ListFiles, Tree, count, csv_rows, read_json, some
from olmv.datasets.benchmarks.types import Benchmark, BenchmarkOptions, Split
from olmv.errors import InputError

__all__ = ["msrvtt", "msrvtt_full"]


def msrvtt(name: str, root: Path, options: BenchmarkOptions) -> Benchmark:
    """Read 1k-A (Yu et al., ECCV 2018, "JSFusion"): 1,000 videos, one sentence each; the diagonal is true.

    Raises:
        InputError: MSRVTT_JSFUSION_test.csv or the videos are missing or do not fit.
    """
    tree = Tree(root)
    files = ListFiles(tree, options.lists)
    path = files.need("list of the 1k-A test", "MSRVTT_JSFUSION_test.csv")
    pairs = [(row["video_id"], row["sentence"].strip()) for row in csv_rows(path, "video_id", "sentence")]
    return _retrieval(name, "1k-A", pairs, tree, path, files, expected=1000)


def msrvtt_full(name: str, root: Path, options: BenchmarkOptions) -> Benchmark:
    """Read the official test split: 2,990 videos with some twenty sentences each.

    Raises:
        InputError: test_videodatainfo.json, MSRVTT_data.json or the videos are missing or do not fit.
    """
    tree = Tree(root)
    files = ListFiles(tree, options.lists)
    path = files.need("test annotations", "test_videodatainfo.json", "MSRVTT_data.json")
    document = read_json(path)
    try:
        test = {str(video["video_id"]) for video in document["videos"] if video["split"] == "test"}
        pairs = [(str(line["video_id"]), str(line["caption"]).strip()) for line in document["sentences"]]
    except (TypeError, KeyError):
        raise InputError(f"{path} lacks 'videos' with 'split', or 'sentences'; get it again") from None
    pairs = [(video, sentence) for video, sentence in pairs if video in test]
    if not pairs:
        raise InputError(f"{path} has no sentences of test videos; get test_videodatainfo.json")
    return _retrieval(name, "test", pairs, tree, path, files, expected=2990)


def _retrieval(
    name: str,
    split: str,
    pairs: Sequence[tuple[str, str]],
    tree: Tree,
    path: Path,
    files: ListFiles,
    *,
    expected: int,
) -> Benchmark:
    """Make a label for each sentence; those of videos that are missing are left out, for nothing could find them."""
    if empty := [video for video, sentence in pairs if not sentence]:
        raise InputError(f"{path} has no sentence for {some(empty)}; get it again")
    identities = list(dict.fromkeys(video for video, _ in pairs))
    files_of = {identity: tree.video(tree.inside(identity, path.name)) for identity in identities}
    present = [(identity, sentence) for identity, sentence in pairs if files_of[identity] is not None]
    missing = [identity for identity in identities if files_of[identity] is None]
    if not present:
        raise InputError(
            f"{tree.root} has none of the {len(missing)} videos of {path.name}: looked below it for "
            f"{some(missing[:1])}.mp4 and so on, {tree.found()}; put the videos there"
        )
    sentences: dict[str, list[int]] = {identity: [] for identity, _ in present}
    for index, (identity, _) in enumerate(present):
        sentences[identity].append(index)
    notes = []
    if len(identities) != expected:
        notes.append(
            f"{path.name} has {len(identities)} videos, the protocol has {expected}: not to be compared with others"
        )
    if missing:
        notes.append(
            f"{len(missing)} of {len(identities)} videos missing and left out with their sentences "
            f"(first: {some(missing[:1])})"
        )
    times = Counter(sentence for _, sentence in present)
    if again := times.total() - len(times):
        notes.append(
            f"{count(again, 'sentence')} like another one; only the video that it was written for counts as true"
        )
    videos = tuple(tree.path(files_of[identity] or "") for identity in sentences)
    return Benchmark(
        name=name,
        kind="retrieval",
        labels=tuple(sentence for _, sentence in present),
        classes=tuple(identity for identity, _ in present),
        videos=videos,
        truth=tuple(tuple(indices) for indices in sentences.values()),
        splits=(Split(split, tuple(range(len(videos))), tuple(range(len(present)))),),
        choices={"lists": files.told(path), "sentences": "as the list writes them, each on its own"},
        notes=tuple(notes),
    )
