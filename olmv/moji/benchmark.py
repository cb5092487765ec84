"""The protocol `moji`: fresh drawings, exact truth, no data to bring.

Two thirds of the clips show objects that olmv-mini was trained on, one third shows objects it never saw; every clip
has one to three of them, each with a motion, over a background, dry or in the weather. All of these are labels.
"""

from collections.abc import Iterable, Iterator

from olmv.datasets.benchmarks.registry import Benchmark, Split
from olmv.errors import UsageError
from olmv.moji.render import Renderer
from olmv.moji.world import MOTIONS, Scene, object_names, sample_scene, scene_labels
from olmv.video.decode import VideoFrames

__all__ = ["CLIPS", "SEED", "draw_clips", "moji_benchmark"]

CLIPS = 1500
SEED = 1000  # training used 1, 2, 9 and some below 100
_TOGETHER = 16  # clips drawn at a time


def moji_benchmark(*, clips: int = CLIPS, seed: int = SEED) -> Benchmark:
    """Return the labels, and what is true of every clip.

    Args:
        clips: how many.
        seed: names the collection.

    Raises:
        UsageError: fewer than three clips.
    """
    if clips < 3:
        raise UsageError(f"clips is {clips}; draw at least 3")
    kinds = {"seen": object_names("seen"), "unseen": object_names("unseen"), "scene": scene_labels(), "motion": MOTIONS}
    labels = tuple(label for kind in kinds.values() for label in kind)
    column = {label: index for index, label in enumerate(labels)}
    groups, start = {}, 0
    for name, kind in kinds.items():
        groups[name] = tuple(range(start, start + len(kind)))
        start += len(kind)
    videos = tuple(f"moji:{'unseen' if index % 3 == 2 else 'seen'}/{seed}/{index}" for index in range(clips))
    truth = tuple(tuple(sorted(column[label] for label in scene_of(video).labels)) for video in videos)
    return Benchmark(
        name="moji",
        kind="multi-label",
        labels=labels,
        classes=labels,
        videos=videos,
        truth=truth,
        splits=(Split("all", tuple(range(clips)), tuple(range(len(labels)))),),
        groups=groups,
        choices={"clips": f"{clips} drawn with seed {seed}, one in three with objects never trained"},
        notes=("the Moji world is made of drawings; its figures say nothing of footage",),
    )


def scene_of(video: str) -> Scene:
    """Return the scene that `moji:seen/SEED/INDEX` names."""
    kind, seed, index = video.removeprefix("moji:").split("/")
    names = object_names("unseen" if kind == "unseen" else "seen")
    return sample_scene(int(seed), int(index), names=names, pairings="all")


def draw_clips(benchmark: Benchmark, indices: Iterable[int], *, frames: int, size: int) -> Iterator[VideoFrames]:
    """Yield the clips of these indices as a `FrameLoader` does: T frames at the centres of equal segments."""
    renderer = Renderer(size)
    moments = [(frame + 0.5) / frames for frame in range(frames)]
    todo = list(indices)
    for start in range(0, len(todo), _TOGETHER):
        part = todo[start : start + _TOGETHER]
        scenes = [scene_of(benchmark.videos[index]) for index in part]
        drawn = renderer([scene for scene in scenes for _ in moments], moments * len(part))
        for place, index in enumerate(part):
            pixels = drawn[place * frames : (place + 1) * frames].numpy()
            video = benchmark.videos[index]
            yield VideoFrames(index=start + place, path=video, pixels=pixels, requested=frames, decoded=frames)
