"""Which of several video streams is the film."""

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from olmv.video.readers.containers import main_stream
from olmv.video.readers.open import available_decoders, open_reader, read_frames
from tests.support import videos

NO, DEFAULT = Disposition(0), Disposition.default


def stream(flags: Disposition = NO, size: tuple[int, int] = (64, 48), frames: int = 0, known: bool = True) -> Any:
    context = SimpleNamespace(width=size[0], height=size[1]) if known else None
    return SimpleNamespace(disposition=flags, frames=frames, codec_context=context)


@pytest.mark.parametrize(
    ("streams", "place"),
    [
        ([stream(), stream()], 0),
        ([stream(), stream(DEFAULT)], 1),
        ([stream(size=(320, 240)), stream(size=(1920, 1080))], 1),
        ([stream(size=(3840, 2160)), stream(DEFAULT, size=(640, 360))], 1),
        ([stream(DEFAULT, size=(3840, 2160), frames=1), stream(frames=90)], 1),
        ([stream(DEFAULT | Disposition.still_image, size=(3840, 2160)), stream()], 1),
        ([stream(DEFAULT | Disposition.attached_pic, size=(3840, 2160)), stream()], 1),
        ([stream(DEFAULT | Disposition.timed_thumbnails, size=(3840, 2160)), stream()], 1),
        ([stream(Disposition.dependent, size=(3840, 2160)), stream()], 1),
        ([stream(DEFAULT, known=False), stream()], 1),
        ([stream(frames=1)], 0),
        ([stream(Disposition.attached_pic)], None),
        ([], None),
    ],
)
def test_the_film_is_what_players_show(streams: list[Any], place: int | None) -> None:
    assert main_stream(streams) is (None if place is None else streams[place])


@pytest.mark.parametrize("decoder", ["pyav", "decord", "torchcodec"])
def test_a_preview_before_the_film_is_not_scored(tmp_path: Path, decoder: str) -> None:
    if available_decoders()[decoder] is None:
        pytest.skip(f"{decoder} is not installed")
    path = tmp_path / "preview.mp4"
    with av.open(str(path), "w") as container:
        preview = container.add_stream("mjpeg", rate=25)
        film = container.add_stream("libx264", rate=25)
        preview.pix_fmt, film.pix_fmt = "yuvj420p", "yuv420p"
        for part in (preview, film):
            part.width, part.height = videos.WIDTH, videos.HEIGHT
        for number in range(20):
            for part in (preview, film)[number > 0 :]:
                image = np.zeros_like(videos.picture(0)) if part is preview else videos.picture(number + 1)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=part.pix_fmt)
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(part.encode(frame))
        container.mux(preview.encode(None))
        container.mux(film.encode(None))
    reader = open_reader(path, decoder=decoder)
    assert (reader.info.codec, reader.info.num_frames) == ("h264", 20)
    frames = read_frames(path, frames=20, decoder=decoder)
    assert [videos.number_of(p) for p in frames.pixels] == list(range(1, 21))
