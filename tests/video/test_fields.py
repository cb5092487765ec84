"""Interlaced video: two packets for one frame, and no combs in what moves."""

import lzma
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.video.readers.fields import FieldPairs
from olmv.video.readers.open import open_reader, read_frames
from tests.support import videos

# 26 frames of 64x64 in field pictures, a keyframe in every twelve, the clock at 5 h; drawn by ourselves
FIELD_CODED = Path(__file__).with_name("field_coded.ts.xz")


def remux(source: Path, target: Path) -> Path:
    """The same packets in another container, each with the stamp that it needs there."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(p for p in old.demux(video=0) if p.size):
            packet.pts = packet.dts = number * 1800
            packet.time_base = Fraction(1, 90000)
            packet.stream = stream
            new.mux(packet)
    return target


@pytest.fixture(scope="module")
def field_coded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fields") / "fields.ts"
    path.write_bytes(lzma.decompress(FIELD_CODED.read_bytes()))
    return path


@pytest.mark.parametrize("ending", ["ts", "mp4", "mkv", "h264"])
def test_two_fields_are_one_frame(field_coded: Path, tmp_path: Path, ending: str) -> None:
    path = field_coded if ending == "ts" else remux(field_coded, tmp_path / f"a.{ending}")
    with av.open(str(path)) as container:
        decoded = [f.to_ndarray(format="gray") for f in container.decode(video=0)]
    reader = open_reader(path)
    assert reader.info.num_frames == len(decoded) == 26
    assert reader.info.duration_s == pytest.approx(1.04)
    assert reader.info.fps == pytest.approx(25)
    np.testing.assert_allclose(reader.timestamps_s, np.arange(26) / 25, atol=1e-3)
    assert reader.keyframes.tolist() == [0, 12, 24]
    for wanted in (range(26), [25], [13, 20]):
        picked = list(reader.frames(wanted))
        assert [p.index for p in picked] == list(wanted)
        assert not any(p.corrupt for p in picked)
        for p in picked:
            assert p.pixels is not None
            assert np.abs(p.pixels[::2].mean(-1) - decoded[p.index][::2]).mean() < 24


def interlaced(path: Path, codec: str, pix_fmt: str, options: dict[str, str]) -> Path:
    """A light block that moves 4 pixels a field, over a dark ground."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 160, 96, pix_fmt
        for number in range(12):
            image = np.full((96, 160, 3), 20, np.uint8)
            for parity in (0, 1):
                image[parity::2, 8 * number + 4 * parity : 8 * number + 4 * parity + 30] = 230
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options"),
    [
        ("a.mp4", "libx264", "yuv420p", {"x264-params": "interlaced=1"}),
        ("a.ts", "libx264", "yuv422p10le", {"x264-params": "interlaced=1"}),
        ("a.mpg", "mpeg2video", "yuv420p", {"flags": "+ilme+ildct", "top": "1"}),
    ],
)
def test_interlaced_frames_show_one_moment(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    frames = read_frames(interlaced(tmp_path / name, codec, pix_fmt, options), frames=12)
    assert frames.decoded == 12
    for number, picture in enumerate(frames.pixels):
        assert picture.shape == (96, 160, 3)
        light = picture[..., 0] > 125
        assert (light == light[0]).all(), "no combs"
        assert abs(int(np.flatnonzero(light[0])[0]) - 8 * number) <= 1  # the first field's place


def test_frames_that_are_not_flagged_keep_every_line(tmp_path: Path) -> None:
    path = videos.make_video(tmp_path / "a.mp4", frames=3)
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.array_equal(read_frames(path, frames=3).pixels[0], stored)


class _Packet(bytes):
    is_keyframe = True


@given(st.lists(st.binary(max_size=80), max_size=4), st.binary(max_size=60), st.booleans())
def test_damaged_headers_are_no_fields_and_no_errors(packets: list[bytes], extradata: bytes, avcc: bool) -> None:
    parameter_sets = bytes([1, 77, 0, 30, 255, 225]) + extradata if avcc else b"\0\0\1\x67" + extradata
    pairs = FieldPairs(parameter_sets)
    for data in packets:
        assert pairs.is_second(_Packet(b"\0\0\1" + data)) in (True, False)


def test_parameter_sets_with_scaling_lists_and_other_orders() -> None:
    # x264 writes neither: high profile, both kinds of scaling list, picture order type 1, fields allowed, 5 bits
    def golomb(value: int) -> str:
        binary = f"{value + 1:b}"
        return "0" * (len(binary) - 1) + binary

    lists = "1" + golomb(0) * 16 + "1" + golomb(16) + "0" * 4 + "1" + golomb(0) * 64 + "0"
    sps = f"{100:08b}{0:08b}{30:08b}" + golomb(0) + golomb(1) + golomb(0) * 2 + "0" + "1" + lists
    sps += golomb(1) + golomb(1) + "0" + golomb(0) * 2 + golomb(2) + golomb(5) * 2
    sps += golomb(4) + "0" + golomb(9) * 2 + "0" + "1"
    pps = golomb(3) + golomb(0) + "1"

    def unit(kind: int, bits: str) -> bytes:
        bits += "0" * (-len(bits) % 8)
        raw = int(bits, 2).to_bytes(len(bits) // 8, "big")
        return b"\0\0\1" + bytes([kind]) + raw.replace(b"\0\0\0", b"\0\0\x03\0").replace(b"\0\0\1", b"\0\0\x03\1")

    def field(number: int, bottom: int) -> _Packet:
        head = golomb(0) + golomb(7) + golomb(3) + f"{number:05b}" + "1" + str(bottom)
        return _Packet(unit(0x65, head + "1" * 40))

    pairs = FieldPairs(unit(0x67, sps) + unit(0x68, pps))
    row = [(0, 0), (0, 1), (1, 1), (1, 0), (2, 0), (3, 1), (3, 0), (3, 1)]
    assert [pairs.is_second(field(*f)) for f in row] == [False, True, False, True, False, False, True, False]
