"""What a file says of its colours, transparency and pixels' shape is heard: the frames are as a player shows them."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import olmv
from olmv.errors import DecodeError
from olmv.video.readers.display import MAX_PIXELS, Display
from olmv.video.readers.open import available_decoders, open_reader, read_frames
from tests.support import videos

HDR_GUITAR = Path(__file__).parent / "clips" / "hdr_pq_guitar.mp4"
GUITAR = Path(olmv.__file__).parent / "data" / "clips" / "guitar.mp4"
PQ, HLG, BT2020, BT2020_NCL = 16, 18, 9, 9


def make_grey(path: Path, signal: float, *, transfer: int = 2, primaries: int = 2, matrix: int = 2) -> Path:
    """Ten bits, losslessly: the right half grey of this signal, 0 to 1, the left half black."""
    with av.open(str(path), "w") as container:
        options = {"x265-params": "lossless=1:log-level=none", "preset": "ultrafast"}
        stream: Any = container.add_stream("libx265", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = transfer, primaries, matrix
        grey = np.full((64, 64), 64, np.uint16)
        grey[:, 32:] = round(64 + 876 * signal)
        planes = (grey, *[np.full((32, 32), 512, np.uint16)] * 2)
        for number in range(4):
            frame = av.VideoFrame(64, 64, "yuv420p10le")
            for plane, values in zip(frame.planes, planes, strict=True):
                rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
                rows[:, : plane.width] = values
                plane.update(rows)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def make_transparent(path: Path, codec: str, pix_fmt: str, *, alpha: int | None = None) -> Path:
    """Noise on the left under an alpha of 0, an opaque red half on the right; `alpha`: everywhere instead."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options={"auto-alt-ref": "0"} if codec == "libvpx" else {})
        stream.width, stream.height, stream.pix_fmt = 64, 64, pix_fmt
        if path.suffix == ".webm":
            stream.metadata["alpha_mode"] = "1"
        for number in range(6):
            picture = np.zeros((64, 64, 4), np.uint8)
            picture[:, :32, :3] = rng.integers(0, 256, (64, 32, 3))
            picture[:, 32:] = (200, 20, 20, 255)
            if alpha is not None:
                picture[..., 3] = alpha
            frame = av.VideoFrame.from_ndarray(picture, format="rgba").reformat(format=pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def with_pixel_aspect(path: Path, aspect: Fraction, *, rotation: int = 0) -> Path:
    """Numbered frames whose pixels are `aspect` times as wide as high."""
    option = f"h264_metadata=sample_aspect_ratio={aspect.numerator}/{aspect.denominator}"
    plain = videos.make_video(path.with_stem("square"), frames=6, rotation=rotation)
    with av.open(str(plain)) as source, av.open(str(path), "w") as container:
        stream = source.streams.video[0]
        marked: Any = container.add_stream_from_template(stream)
        if rotation:
            marked.set_display_rotation(rotation)
        bits = av.BitStreamFilterContext(option, stream, marked)
        for packet in source.demux(stream):
            for out in bits.filter(packet if packet.dts is not None else None):
                out.stream = marked
                container.mux(out)
    return path


def test_hdr_looks_like_the_sdr_it_was_made_from() -> None:
    shown, right = (read_frames(path, frames=4).pixels for path in (HDR_GUITAR, GUITAR))
    difference = np.abs(np.asarray(shown, np.int16) - np.asarray(right, np.int16))
    assert difference.mean() < 7  # without tone mapping 51
    np.testing.assert_allclose(np.mean(shown, axis=(0, 1, 2)), np.mean(right, axis=(0, 1, 2)), atol=3)


def test_hdr_has_the_labels_of_the_sdr_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path))
    vocabulary = olmv.Vocabulary.load(GUITAR.parent / "labels.txt")
    classifier = olmv.Classifier.from_pretrained("olmv-mini")
    hdr, sdr = classifier.predict([HDR_GUITAR, GUITAR], vocabulary, frame_pooling="softmax")
    chosen = [{label.label for label in row.labels if label.positive} for row in (hdr, sdr)]
    assert "guitar" in chosen[1]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize(("transfer", "white"), [(PQ, 0.5807), (HLG, 0.75)])
@pytest.mark.parametrize("tags", [(BT2020, BT2020_NCL), (2, 2)])
def test_reference_white_of_a_file_is_white(tmp_path: Path, transfer: int, white: float, tags: tuple[int, int]) -> None:
    path = make_grey(tmp_path / "a.mp4", white, transfer=transfer, primaries=tags[0], matrix=tags[1])
    frame = read_frames(path, frames=1).pixels[0]
    assert frame[:, 34:].min() >= 252
    assert frame[:, :30].max() == 0


def test_ten_bits_of_sdr_are_not_mapped(tmp_path: Path) -> None:
    frame = read_frames(make_grey(tmp_path / "a.mp4", 0.5), frames=1).pixels[0]
    np.testing.assert_allclose(frame[:, 34:], 128, atol=2)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.webm", "libvpx-vp9", "yuva420p"),
        ("b.webm", "libvpx", "yuva420p"),
        ("a.mov", "prores_ks", "yuva444p10le"),
        ("b.mov", "qtrle", "argb"),
        ("c.mov", "png", "rgba"),
        ("a.mkv", "ffv1", "yuva420p"),
    ],
)
def test_what_is_hidden_does_not_count(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    path = make_transparent(tmp_path / name, codec, pix_fmt)
    with open_reader(path) as reader:
        frames = reader.read([0, 3, 5])
        brightness = reader.luma([2])
        assert reader.info.codec == {"libvpx": "vp8", "libvpx-vp9": "vp9", "prores_ks": "prores"}.get(codec, codec)
    assert (frames.decoded, frames.corrupt) == (3, 0)
    for frame in frames.pixels:
        assert frame[:, :28].min() >= 245  # white, no noise
        np.testing.assert_allclose(frame[8:56, 40:56].mean(axis=(0, 1)), [200, 20, 20], atol=12)
    assert brightness[0, :, :12].min() >= 235


def test_half_transparent_is_half_white(tmp_path: Path) -> None:
    frame = read_frames(make_transparent(tmp_path / "a.mov", "png", "rgba", alpha=128), frames=1).pixels[0]
    np.testing.assert_allclose(frame[:, 40:].mean(axis=(0, 1)), [227, 137, 137], atol=2)


def test_an_empty_fourth_byte_is_no_transparency(tmp_path: Path) -> None:
    frame = read_frames(make_transparent(tmp_path / "a.avi", "rawvideo", "bgra", alpha=0), frames=1).pixels[0]
    np.testing.assert_allclose(frame[:, 40:].mean(axis=(0, 1)), [200, 20, 20], atol=2)


@pytest.mark.parametrize(("aspect", "size"), [(Fraction(2), (320, 96)), (Fraction(10, 11), (160, 106))])
@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_pixels_become_square(tmp_path: Path, aspect: Fraction, size: tuple[int, int], decoder: str) -> None:
    if available_decoders()[decoder] is None:
        pytest.skip(f"{decoder} is not installed")
    path = with_pixel_aspect(tmp_path / "a.mp4", aspect)
    reader = open_reader(path, decoder=decoder)
    assert (reader.info.width, reader.info.height) == size
    frames = reader.read(range(6))
    reader.close()
    assert [videos.number_of(frame) for frame in frames.pixels] == list(range(6))
    assert np.shape(frames.pixels)[1:3] == size[::-1]


def test_turned_pixels_become_square_too(tmp_path: Path) -> None:
    path = with_pixel_aspect(tmp_path / "a.mp4", Fraction(2), rotation=90)
    reader = open_reader(path)
    assert (reader.info.width, reader.info.height) == (96, 320)
    assert np.shape(reader.read([0]).pixels) == (1, 320, 96, 3)
    reader.close()


@pytest.mark.parametrize(
    ("aspect", "stored", "shown"),
    [
        (64 / 45, (720, 576), (1024, 576)),
        (8 / 9, (720, 480), (720, 540)),
        (4 / 3, (1440, 1080), (1920, 1080)),
        (3.0, (8192, 8192), (8192, 2731)),  # no larger than the largest picture: squeezed
        (1 / 3, (8192, 8192), (2731, 8192)),
    ],
)
def test_sizes_are_those_that_players_show(aspect: float, stored: tuple[int, int], shown: tuple[int, int]) -> None:
    assert Display(aspect).size(*stored) == shown
    assert shown[0] * shown[1] <= MAX_PIXELS


@pytest.mark.parametrize("said", [Fraction(0), None, Fraction(1, 65535), Fraction(65535)])
def test_impossible_pixels_are_square(said: Fraction | None) -> None:
    class Stream:
        sample_aspect_ratio = said

        class codec_context:  # noqa: N801
            color_trc = color_primaries = 2

    assert Display.of_stream(Stream).size(160, 96) == (160, 96)


def test_other_decoders_refuse_what_they_would_show_wrongly(tmp_path: Path) -> None:
    if available_decoders()["decord"] is None:
        pytest.skip("decord is not installed")
    path = make_transparent(tmp_path / "a.webm", "libvpx-vp9", "yuva420p")
    with pytest.raises(DecodeError, match="is transparent, which this decoder ignores; use the decoder pyav"):
        open_reader(path, decoder="decord")
    shown, right = (read_frames(HDR_GUITAR, frames=2, decoder=name).pixels for name in ("decord", "pyav"))
    assert np.abs(np.asarray(shown, np.int16) - np.asarray(right, np.int16)).mean() < 8  # unmapped 50


def test_an_ffmpeg_without_the_decoder_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_transparent(tmp_path / "a.webm", "libvpx-vp9", "yuva420p")

    def absent(*_: object) -> None:
        raise ValueError("no such codec")

    monkeypatch.setattr("av.CodecContext", type("CodecContext", (), {"create": staticmethod(absent)}))
    with pytest.raises(DecodeError, match=r"has no libvpx-vp9 .*; install PyAV's own build"):
        open_reader(path)
