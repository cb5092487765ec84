"""What is kept of videos, and the thresholds of a request."""

from pathlib import Path

import pytest
import torch

from olmv.errors import UsageError
from olmv.labels.vocabulary import Vocabulary
from olmv.models.base import VideoEmbedding
from olmv.scorer import EmbeddedPart
from olmv.scoring.thresholds import LabelThreshold, Thresholds
from olmv.scoring.windows import whole
from olmv.serve.clips import ClipStore, StoredClip
from olmv.serve.options import ServeOptions
from olmv.serve.scoring import ScoreRequest
from olmv.video.decode import VideoFrames
from olmv.video.options import DecodeOptions


def _clip(name: str, rows: int) -> StoredClip:
    part = EmbeddedPart(VideoFrames(index=0, path=name), whole(1), [VideoEmbedding(torch.zeros(rows, 256))], 1)
    return StoredClip(name, [part], DecodeOptions(), None)


def test_videos_that_nobody_asked_for_the_longest_go_first() -> None:
    store = ClipStore(4 * 4096 + 3 * 1024)
    clips = [_clip(str(number), rows=1) for number in range(3)]
    for clip in clips:
        store.add(clip)
    assert store.get(clips[0].id) is clips[0]
    store.add(more := _clip("3", rows=1))
    assert [store.get(clip.id) is not None for clip in (*clips, more)] == [True, False, True, True]
    assert store.nbytes == 3 * (4096 + 1024)


def test_a_video_larger_than_all_memory_is_kept_until_the_next() -> None:
    store = ClipStore(10)
    store.add(first := _clip("a", rows=9))
    assert store.get(first.id) is first
    store.add(second := _clip("b", rows=9))
    assert store.get(first.id) is None
    assert store.remove(second.id)
    assert (store.nbytes, len(store)) == (0, 0)


def test_thresholds_of_a_request_stand_in_the_place_of_the_file() -> None:
    file = Thresholds({"dog": LabelThreshold(threshold=0.3, leave=0.2, support=7), "cat": 0.6}, model="m")
    request = ScoreRequest(Vocabulary.from_names(["dog"]), thresholds=file, by_label={"dog": 0.1, "rain": 0.9})
    limits = request.limits
    assert limits is not None
    assert dict(limits) == {"dog": 0.1, "cat": 0.6, "rain": 0.9}
    assert limits.entry("dog").support == 7
    assert limits.entry("dog").leave is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ServeOptions(port=70000), "port is 70000"),
        (ServeOptions(queue=0), "queue is 0"),
        (ServeOptions(timeout_s=0), "time limit is 0 s"),
        (ServeOptions(workers=0), "workers is 0"),
        (ServeOptions(token=" "), "token is empty"),
        (ServeOptions(root=Path("nowhere")), "no such folder: nowhere"),
    ],
)
def test_options_out_of_range(options: ServeOptions, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        options.check()
