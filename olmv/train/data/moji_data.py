"""Training clips of the Moji world, drawn as they are needed."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch

from olmv.moji.render import Renderer
from olmv.moji.world import MOTIONS, OPPOSITES, About, Scene, object_names, sample_scene, scene_labels
from olmv.train.data.dataset import Failed, Sample, VideoDataset

__all__ = ["MojiDataset"]

LabelKind = Literal["objects", "scenes", "motions"]
PIXELS_AT_ONCE = 128 * 64 * 64  # fewer cost calls, more fall out of the processor cache (measured)


class MojiDataset(VideoDataset):
    """Clips with exact labels and a sentence, `moji:SEED/INDEX`.

    Args:
        seed: names the collection; training and validation need different ones.
        clips: of an epoch.
        frames: T, of a clip.
        labels: what the vocabulary holds, in this order: objects (`names`), scenes (backgrounds, weather), motions.
        names: objects to draw; None for all that training may see.
        counts: numbers of objects in a clip, each as likely.
        motions: motions to draw.
        pairings: of object and motion, see `olmv.moji.world.sample_scene`.
        size: S, in pixels.
        captions: what each clip's caption tells, see `olmv.moji.world.Scene.caption`; None for no captions.
        fresh: other clips in every epoch, instead of the same ones.
        train: frames at random moments, one in each of T equal segments; False takes the centres.
        reversals: every clip with an odd number is the one before it played backwards, with the opposite motions: what
            tells the two apart is time alone. Only for motions that have an opposite.

    Raises:
        ValueError: a count below 1, an unknown kind of label, or reversals of a motion without an opposite.
    """

    def __init__(
        self,
        seed: int,
        clips: int,
        *,
        frames: int = 8,
        labels: Sequence[LabelKind] = ("objects", "scenes", "motions"),
        names: Sequence[str] | None = None,
        counts: Sequence[int] = (1, 2, 3),
        motions: Sequence[str] = MOTIONS,
        pairings: Literal["training", "held-out", "all"] = "training",
        size: int = 64,
        captions: About | None = "scene",
        fresh: bool = False,
        train: bool = True,
        reversals: bool = False,
    ) -> None:
        for what, number in (("clips", clips), ("frames", frames), ("size", size)):
            if number < 1:
                raise ValueError(f"{what} is {number}; use at least 1")
        unknown = [kind for kind in labels if kind not in get_args(LabelKind)]
        if unknown or not labels:
            raise ValueError(f"unknown labels {unknown}; use some of {', '.join(get_args(LabelKind))}")
        if reversals and (lacking := [motion for motion in motions if motion not in OPPOSITES]):
            raise ValueError(f"'{lacking[0]}' has no opposite; with reversals use motions of {', '.join(OPPOSITES)}")
        self.frames = frames
        self._reversals = reversals
        self._seed = seed
        self._clips = clips
        self._names = tuple(object_names("seen") if names is None else names)
        self._counts = tuple(counts)
        self._motions = tuple(motions)
        self._pairings = pairings
        self._size = size
        self._captions = captions
        self._fresh = fresh
        self._train = train
        kinds = {"objects": self._names, "scenes": scene_labels(), "motions": self._motions}
        self.labels = tuple(label for kind in dict.fromkeys(labels) for label in kinds[kind])
        self._known = {label: index for index, label in enumerate(self.labels)}
        self._renderer: Renderer | None = None

    def __len__(self) -> int:
        return self._clips

    def video(self, index: int, epoch: int = 0) -> str:
        """Return `moji:SEED/INDEX`; with `fresh`, the clip of this epoch."""
        backwards = " backwards" if self._backwards(index) else ""
        return f"moji:{self._seed}/{self._scene_index(index, epoch)}{backwards}"

    def scene(self, index: int, epoch: int = 0) -> Scene:
        """Return the whole truth of a clip."""
        scene = self._drawn(index, epoch)
        return scene.backwards() if self._backwards(index) else scene

    def _backwards(self, index: int) -> bool:
        return self._reversals and index % 2 == 1

    def _drawn(self, index: int, epoch: int) -> Scene:
        """Return the scene that is drawn for a clip, be it shown forwards or backwards."""
        return sample_scene(
            self._seed,
            self._scene_index(index, epoch),
            names=self._names,
            counts=self._counts,
            motions=self._motions,
            pairings=self._pairings,
        )

    def load(self, index: int, epoch: int) -> Sample:
        sample = self.load_many([index], epoch)[0]
        assert isinstance(sample, Sample)  # drawing does not fail
        return sample

    def load_many(self, indices: Sequence[int], epoch: int) -> list[Sample | Failed]:
        """Make several clips, drawn together."""
        if self._renderer is None:
            self._renderer = Renderer(self._size)
        scenes = [self._drawn(index, epoch) for index in indices]
        step = max(PIXELS_AT_ONCE // (self.frames * self._size**2), 1)
        samples: list[Sample | Failed] = []
        for start in range(0, len(indices), step):
            numbers, some = indices[start : start + step], scenes[start : start + step]
            progress = [moment for index in numbers for moment in self._progress(index, epoch)]
            with torch.no_grad():
                drawn = self._renderer([scene for scene in some for _ in range(self.frames)], progress)
            clips = drawn.view(len(some), self.frames, *drawn.shape[1:])
            for index, pixels in zip(numbers, clips, strict=True):
                scene = self.scene(index, epoch)
                known = tuple(self._known[label] for label in scene.labels if label in self._known)
                caption = None if self._captions is None else scene.caption(self._captions)
                samples.append(Sample(self.video(index, epoch), pixels, known, caption))
        return samples

    def _scene_index(self, index: int, epoch: int) -> int:
        if not 0 <= index < self._clips:
            raise IndexError(f"clip {index} of {self._clips}; indices run from 0 to {self._clips - 1}")
        number = epoch * self._clips + index if self._fresh else index
        return number // 2 if self._reversals else number

    def _progress(self, index: int, epoch: int) -> list[float]:
        """Return [T] moments in the order they are shown, 0 for the start of what is drawn and 1 for its end."""
        key = [self._seed, epoch, index // 2 if self._reversals else index]
        places = np.random.default_rng(key).random(self.frames) if self._train else 0.5
        moments: list[float] = ((np.arange(self.frames) + places) / self.frames).tolist()
        return moments[::-1] if self._backwards(index) else moments
