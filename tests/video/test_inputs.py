"""Videos that are no paths: arrays, PIL images, bytes and open files give what their files give, and leave nothing."""

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

import olmv
from olmv import Classifier, UsageError
from olmv.errors import DecodeError, NotAVideoError, VideoError
from olmv.predictions import VideoPrediction
from olmv.video.decode import VideoFrames
from olmv.video.inputs import SpooledFile, prepared
from olmv.video.options import DecodeOptions
from olmv.video.readers.memory import MemoryVideo
from olmv.video.readers.open import open_reader
from olmv.video.transforms import Preprocess
from olmv.video.workers.loader import FrameLoader
from tests.support.tiny import tiny_model
from tests.support.videos import make_video

LABELS = ["dog", "guitar", "rain"]
FPS = 25.0
CUT = Path(olmv.__file__).parent / "data" / "footage" / "cat_then_coffee.mp4"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("clip") / "a.mp4", frames=60)


@pytest.fixture(scope="module")
def frames(clip: Path) -> np.ndarray:
    """All frames of the clip, uint8 [T, H, W, 3]."""
    with open_reader(clip) as reader:
        pixels = reader.read(range(len(reader.timestamps_s))).pixels
    assert isinstance(pixels, np.ndarray)
    return pixels


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    folder = tmp_path / "spool"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classifier]:
    patch = pytest.MonkeyPatch()
    patch.setenv("OLMV_CACHE", str(tmp_path_factory.mktemp("cache")))
    with Classifier(tiny_model()) as ready:
        yield ready
    patch.undo()


def every_kind(clip: Path, frames: np.ndarray) -> list[Any]:
    """The clip as each kind of input."""
    return [
        clip,
        frames,
        clip.read_bytes(),
        io.BytesIO(clip.read_bytes()),
        [Image.fromarray(frame) for frame in frames],
        torch.from_numpy(frames),
        memoryview(clip.read_bytes()),
        str(clip),
    ]


def numbers(prediction: VideoPrediction) -> list[float]:
    assert prediction.error is None
    return [label.probability for label in prediction.labels]


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 2}, {"frames": 5}, {"sampling": "dense"}])
def test_the_same_clip_as_each_kind_of_input(
    options: dict[str, Any], classifier: Classifier, clip: Path, frames: np.ndarray, spool: Path
) -> None:
    kinds = every_kind(clip, frames)
    rows = list(classifier.predict(kinds, LABELS, **options))
    names = ["<array 1>", "<bytes 2>", "<file 3>", "<images 4>", "<array 5>", "<bytes 6>"]
    assert [row.video for row in rows] == [str(clip), *names, str(clip)]
    for row, kind in zip(rows, kinds, strict=True):
        assert numbers(row) == pytest.approx(numbers(rows[0]), abs=1e-5)
        is_file = not isinstance(kind, list | np.ndarray | torch.Tensor)
        assert row.duration_s == (pytest.approx(2.4) if is_file else None)
        assert row.frames.decoded == rows[0].frames.decoded
        if not is_file:  # they count frames
            assert [time / FPS for time in row.times_s] == pytest.approx(rows[0].times_s, abs=1e-6)
            assert row.frames.widest_gap_s is None
    assert not [*spool.iterdir()]


def test_with_a_rate_arrays_have_times(classifier: Classifier) -> None:
    with open_reader(CUT) as reader:
        fps, frames = reader.info.fps, reader.read(range(len(reader.timestamps_s))).pixels
    pictures = [Image.fromarray(frame) for frame in frames]
    videos: list[Any] = [CUT, frames, pictures]
    rows = list(classifier.predict(videos, LABELS, fps=fps, timeline=True, explain=True))
    assert len(rows[0].shots_s) == 1
    for row in rows[1:]:
        assert row.curve is not None
        assert rows[0].curve is not None
        assert row.duration_s == pytest.approx(rows[0].duration_s)
        assert row.shots_s == pytest.approx(rows[0].shots_s)
        np.testing.assert_allclose(row.curve.probability, rows[0].curve.probability, atol=1e-5)
        assert row.frames.decoded == rows[0].frames.decoded
        assert row.frames.widest_gap_s == pytest.approx(rows[0].frames.widest_gap_s)
        assert row.explanations[0].frames[0].time_s == pytest.approx(rows[0].explanations[0].frames[0].time_s)


def test_a_long_array_comes_in_parts(frames: np.ndarray) -> None:
    many = np.concatenate([frames[:, ::4, ::4]] * 20)
    options = DecodeOptions(frames=1, every_s=1 / FPS, workers=2)
    parts = list(FrameLoader(prepared([many], fps=FPS), preprocess=Preprocess(size=8), options=options))
    assert len(parts) > 5
    assert np.concatenate([part.times_s for part in parts]) == pytest.approx(np.arange(1200) / FPS)
    assert {part.path for part in parts} == {"<array 0>"}


def test_one_input_needs_no_list(classifier: Classifier, clip: Path, frames: np.ndarray) -> None:
    image = Image.fromarray(frames[0])
    with clip.open("rb") as file:
        ones: list[tuple[Any, str]] = [
            (frames, "<array 0>"),
            (torch.from_numpy(frames), "<array 0>"),
            (clip.read_bytes(), "<bytes 0>"),
            (file, str(clip)),
            (image, "<image 0>"),
        ]
        for one, name in ones:
            (row,) = classifier.predict(one, LABELS)
            assert (row.video, row.status) == (name, "ok")


def test_images_in_a_list_are_photos_and_turn_as_their_files_do(
    classifier: Classifier, frames: np.ndarray, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / "turned.png"
    Image.fromarray(frames[0]).save(path, exif=exif)
    Image.fromarray(frames[1]).convert("RGBA").save(tmp_path / "b.png")
    with Image.open(path) as turned, Image.open(tmp_path / "b.png") as other:
        rows = list(classifier.predict([turned, path, other, [turned]], LABELS))
    assert [row.video for row in rows] == [str(path), str(path), str(tmp_path / "b.png"), "<images 3>"]
    assert [row.duration_s for row in rows] == [0.0, 0.0, 0.0, None]
    assert numbers(rows[0]) == numbers(rows[1]) == numbers(rows[3])
    assert numbers(rows[0]) != numbers(rows[2])


def test_a_bad_input_costs_one_row(classifier: Classifier, clip: Path, frames: np.ndarray, spool: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("the disk is gone")

    lost = io.BytesIO()
    Image.fromarray(frames[0]).save(lost, "PNG")
    unread = Image.open(lost)
    lost.close()
    bad: list[tuple[Any, type[VideoError], str]] = [
        (b"", NotAVideoError, "<bytes 0>: is empty"),
        (b"some words", NotAVideoError, "<bytes 1>: is a text file"),
        (io.BytesIO(clip.read_bytes()[:3000]), NotAVideoError, "<file 2>: is cut off"),
        (frames[:0], DecodeError, "<array 3>: has no frames; give at least one"),
        ([], DecodeError, "<images 4>: has no frames; give at least one"),
        (Broken(), NotAVideoError, "<file 5>: cannot be read (the disk is gone); is the file open and whole?"),
        ([unread], DecodeError, "<images 6>: picture 1 of 1 cannot be decoded"),
        ([Image.new("RGB", (0, 4))], DecodeError, "<images 7>: picture 1 of 1 has no pixels; leave it out"),
    ]
    *rows, last = classifier.predict([*(value for value, _, _ in bad), clip], LABELS)
    for row, (_, kind, message) in zip(rows, bad, strict=True):
        assert row.error is not None
        assert row.error.type == kind.__name__
        assert row.error.message.startswith(message)
        assert str(spool) not in row.error.message
    assert last.status == "ok"
    assert not [*spool.iterdir()]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((2, 4, 4, 3), np.float32), r"input 1 is an array of float32 \[2, 4, 4, 3\]; give uint8, 0 to 255"),
        (np.zeros((4, 4, 3), np.uint8), r"of a single frame array\[None\]"),
        (np.zeros((1, 2, 4, 4, 3), np.uint8), "several are a list of such arrays"),
        (np.zeros((2, 3, 4, 4), np.uint8), r"its colours come last, \[T, H, W, 3\]: array.transpose\(0, 2, 3, 1\)"),
        (torch.zeros((2, 3, 4, 4), dtype=torch.uint8), r"array.permute\(0, 2, 3, 1\)"),
        (np.zeros((2, 0, 4, 3), np.uint8), r"a clip is \[T, H, W, 3\], in RGB"),
        ([np.zeros((4, 4, 3), np.uint8)], r"a list with a ndarray in it; .* one array \[T, H, W, 3\] \(numpy.stack\)"),
        (io.StringIO("a"), "input 1 is a file opened as text; open it with 'rb'"),
        (3, "input 1 is an int; give a path, bytes, a file"),
        (None, "input 1 is None; give a path"),
        ("", "input 1 is an empty text; give a path"),
        (np.zeros((2, 4, 4), np.uint8), r"of grey frames numpy.stack\(\[array\] \* 3, -1\)"),
        (np.zeros((2, 4, 4, 4), np.uint8), r"in RGB: array\[..., :3\] of RGBA"),
        (np.zeros((2, 4, 4, 2), np.uint8), r"a clip is \[T, H, W, 3\], in RGB$"),
        (torch.zeros((2, 4, 4, 3)), r"of numbers up to 1: \(array \* 255\).byte\(\)"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_by_the_call(
    value: Any, message: str, classifier: Classifier, clip: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        classifier.predict([clip, value], LABELS)
    rows = classifier.predict(iter([clip, value, clip]), LABELS)  # a generator's turn comes later
    with pytest.raises(UsageError, match=message):
        list(rows)


def test_other_refusals(classifier: Classifier, frames: np.ndarray) -> None:
    closed = io.BytesIO(b"a")
    closed.close()
    with pytest.raises(UsageError, match="input 0 is a closed file; keep it open until its prediction is there"):
        classifier.predict(closed, LABELS)
    with pytest.raises(UsageError, match="the videos are an int; give a list, each of it a path"):
        classifier.predict(3, LABELS)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="fps is 0; give the frames per second, above 0"):
        classifier.predict(frames, LABELS, fps=0)
    for options in ({"timeline": True}, {"every_s": 1.0}):
        with pytest.raises(UsageError, match="input 0 has no times, which a timeline and every_s take; give its fps"):
            classifier.predict(frames, LABELS, **options)

    class Later:
        def read(self, size: int) -> Any:
            return "text"

    with pytest.raises(UsageError, match="<file 0>: reading it gives a str, not bytes; open it with 'rb'"):
        list(classifier.predict([Later()], LABELS))  # type: ignore[list-item]


def test_a_full_disk_costs_rows(spool: Path) -> None:
    spool.rmdir()
    (video,) = prepared([b"bytes"])
    assert isinstance(video, MemoryVideo)
    with pytest.raises(DecodeError, match=r"<bytes 0>: cannot be written to .*spool \(.*\); name another fol"):
        open_reader(video)


def test_a_write_that_fails_leaves_nothing(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = str(spool / "copy")
    Path(copy).touch()
    monkeypatch.setattr(tempfile, "mkstemp", lambda prefix: (os.open("/dev/full", os.O_WRONLY), copy))
    with pytest.raises(DecodeError, match=r"<bytes 0>: cannot be written to .*\(.*No space left on device\); nam"):
        SpooledFile("<bytes 0>", b"bytes")
    assert not [*spool.iterdir()]


def test_only_this_user_may_read_a_copy(spool: Path) -> None:
    copy = SpooledFile("a", b"bytes")
    assert Path(copy.path).read_bytes() == b"bytes"
    assert Path(copy.path).stat().st_mode & 0o777 == 0o600
    copy.release()
    copy.release()
    assert not [*spool.iterdir()]


def look_at_spool(path: str, preprocess: Preprocess, options: DecodeOptions, part: int = 0) -> VideoFrames:
    """Tells how many copies lie beside the file; of five parts."""
    assert Path(path).read_bytes()
    count = len([*Path(path).parent.iterdir()])
    return VideoFrames(index=0, path=path, pixels=np.zeros((1, 3, 2, 2), np.uint8), parts=5, corrupt=count)


@pytest.mark.parametrize("workers", [0, 2])
def test_few_copies_lie_on_the_disk_at_once(workers: int, spool: Path) -> None:
    taken = []

    def many() -> Iterator[bytes]:
        for number in range(20):
            taken.append(number)
            yield b"%d" % number

    loader = FrameLoader(prepared(many()), preprocess=Preprocess(), options=DecodeOptions(workers=workers),
                         decode=look_at_spool, prefetch=4)  # fmt: skip
    first = next(iter(loader))
    assert (first.path, first.parts) == ("<bytes 0>", 5)
    assert len(taken) <= 5
    rows = list(FrameLoader(prepared(many()), preprocess=Preprocess(), options=DecodeOptions(workers=workers),
                            decode=look_at_spool, prefetch=4))  # fmt: skip
    assert [(row.path, row.part) for row in rows] == [(f"<bytes {n}>", part) for n in range(20) for part in range(5)]
    assert max(row.corrupt for row in rows) <= workers + 1
    loader.close()
    assert not [*spool.iterdir()]


def die(path: str, preprocess: Preprocess, options: DecodeOptions) -> VideoFrames:
    os._exit(3)


def test_a_copy_goes_with_the_worker_that_died_of_it(spool: Path) -> None:
    options = DecodeOptions(workers=1)
    rows = list(FrameLoader(prepared([b"a", b"b"]), preprocess=Preprocess(), options=options, decode=die))
    assert [str(row.error).partition(":")[0] for row in rows] == ["<bytes 0>", "<bytes 1>"]
    assert not [*spool.iterdir()]


def test_the_same_workers_serve_call_after_call(
    classifier: Classifier, clip: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = classifier._fork_server
    assert server is not None
    assert server._process is not None
    kinds: list[Callable[[], Any]] = [lambda: clip, lambda: clip.read_bytes(), lambda: frames, lambda: clip.open("rb")]
    list(classifier.predict([clip, clip, clip], LABELS, workers=2))
    pids = {child.pid for child in psutil.Process(server._process.pid).children()}
    assert pids
    for kind in kinds:
        (row,) = classifier.predict(kind(), LABELS, workers=2)
        assert row.status == "ok"
    assert {child.pid for child in psutil.Process(server._process.pid).children()} == pids


def test_a_column_of_paths_is_a_list(classifier: Classifier, clip: Path) -> None:
    for column in (np.array([str(clip), "gone.mp4"]), np.array([clip, Path("gone.mp4")], object)):
        rows = list(classifier.predict(column, ["dog"], workers=0))
        assert [(row.video, row.status) for row in rows] == [(str(clip), "ok"), ("gone.mp4", "error")]


def test_an_empty_text_of_a_generator_is_refused_at_its_turn(classifier: Classifier, clip: Path) -> None:
    rows = classifier.predict((name for name in [str(clip), ""]), ["dog"], workers=0)
    with pytest.raises(UsageError, match="input 1 is an empty text; give a path"):
        list(rows)
