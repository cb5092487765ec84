"""Hard cuts, found from the frames that a decoder hands out anyway.

Every frame leaves a signature of a hundred bytes: how its brightness and colours are spread, and a coarse picture of
its brightness. A cut is a step between two signatures that is large, far above the steps around it (so that motion and
camera pans are none), and lasts (so that a flash is none).

    signatures = [signature(frame) for frame in container.decode(stream)]
    cuts = find_cuts(times_s, np.stack(signatures))
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.video.frames import Floats, Indices, Pixels
from olmv.video.sampling import even_places

__all__ = ["SIGNATURE_BYTES", "changed", "find_cuts", "signature", "signature_of_pixels"]

Floats32 = NDArray[np.float32]

ROWS, COLUMNS = 36, 64  # points of brightness that are looked at; of each colour plane half as many each way
GRID_ROWS, GRID_COLUMNS = 6, 8
LUMA_EDGES = np.arange(16, 256, 14)
CHROMA_EDGES = np.array([72, 96, 108, 116, 121, 125, 128, 131, 135, 140, 148, 160, 184])  # colours crowd at 128, grey
NO_COLOUR = np.where(CHROMA_EDGES >= 128, 255.0, 0.0)
SIGNATURE_BYTES = len(LUMA_EDGES) + 2 * len(CHROMA_EDGES) + GRID_ROWS * GRID_COLUMNS

# Tuned on films joined from UCF101 clips of some groups; the benchmark of timelines measures on others.
FLOOR, RATIO = 0.14, 1.5  # a cut is a step of this much, and this many times the level around it beyond
CALM_FLOOR, CALM_RATIO = 0.09, 5.0  # or, where the picture is calm, of this
AROUND = 4  # steps on either side that make the level
TYPICAL = 0.75  # quantile of those steps; above it lie other cuts nearby
LASTING = 0.65  # share of the step that is there when a flash would be over
FLASH_FRAMES, FLASH_S = 3, 0.13
SHORTEST_S = 0.3  # of a shot
SHORTEST_GAP_S = 0.02

BLOCK = 3  # side of the blocks of `changed`
MEAN_CHANGE, BLOCK_CHANGE = 2.0, 5.0


def signature(frame: Any) -> Pixels:
    """Return the signature of a decoded frame, [SIGNATURE_BYTES] uint8, for `find_cuts`.

    Args:
        frame: an `av.VideoFrame`; planar YUV and grey are looked at in place, other formats are made smaller first.
    """
    layout = _layout(frame.format.name)
    planes = frame.planes
    if layout is None or planes[0].line_size < 0:  # negative: stored bottom up
        planes, layout = frame.reformat(2 * COLUMNS, 2 * ROWS, "yuv420p", interpolation="POINT").planes, (1, 0)
    return _signature([_points(plane, *layout, halved=number > 0) for number, plane in enumerate(planes)])


def signature_of_pixels(pixels: Pixels) -> Pixels:
    """Return the signature of a picture [H, W, 3] uint8 RGB, for readers that give no planes: [SIGNATURE_BYTES] uint8.

    Not to be compared with those of `signature`: the two may differ in their range of brightness.
    """
    height, width = pixels.shape[:2]
    rgb = pixels[even_places(height, ROWS)][:, even_places(width, COLUMNS)].astype(np.float32)
    luma = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    fewer, grey = rgb[::2, ::2], luma[::2, ::2]
    blue, red = 128 + 0.564 * (fewer[..., 2] - grey), 128 + 0.713 * (fewer[..., 0] - grey)
    return _signature([np.clip(plane.round(), 0, 255).astype(np.uint8) for plane in (luma, blue, red)])


def find_cuts(times_s: Floats, signatures: Pixels) -> Floats:
    """Find the hard cuts of a film, or of a part of it.

    The first frame is never one: what came before it is not known. Fades, flashes of one or two frames and shots
    shorter than 0.3 s are none.

    Args:
        times_s: [N] increasing presentation times, in seconds; meant for gaps up to 0.5 s, which may vary.
        signatures: [N, SIGNATURE_BYTES] uint8 of `signature`.

    Returns:
        [M] times of the first frame of each new shot, increasing.
    """
    if len(times_s) < 2:
        return np.zeros(0)
    rows = signatures.astype(np.float32)
    steps = _distance(rows[:-1], rows[1:])
    # a picture in motion is the further from itself the longer one waits, but not in proportion
    wait = np.sqrt(np.maximum(np.diff(times_s), SHORTEST_GAP_S))
    level = _level(steps / wait) * wait
    limits = np.minimum(FLOOR + RATIO * level, CALM_FLOOR + CALM_RATIO * level)
    at = np.flatnonzero(steps >= limits) + 1
    at = at[_lasting(times_s, rows, at) >= LASTING * steps[at - 1]]
    strength = steps[at - 1] / limits[at - 1]
    cuts: list[float] = []
    for time in times_s[at[np.argsort(-strength, kind="stable")]].tolist():
        if all(abs(time - other) >= SHORTEST_S for other in cuts):
            cuts.append(time)
    return np.array(sorted(cuts))


def changed(before: Pixels, now: Pixels) -> bool:
    """Tell whether two small grey pictures of one size, [h, w] uint8, show something else.

    The noise of a sensor and of compression does not count; a small person who comes in does.
    """
    difference = now.astype(np.float32) - before
    height, width = difference.shape
    rows, columns = np.arange(0, height, BLOCK), np.arange(0, width, BLOCK)
    sums = np.add.reduceat(np.add.reduceat(difference, rows, axis=0), columns, axis=1)
    blocks = np.abs(sums / np.outer(np.diff(rows, append=height), np.diff(columns, append=width)))
    return bool(blocks.mean() > MEAN_CHANGE or blocks.max() > BLOCK_CHANGE)


# Weights of a signature's bytes in a distance, so that each kind counts as one: 1 is black against white.
WEIGHTS = np.repeat(
    [1 / len(LUMA_EDGES), 1 / len(CHROMA_EDGES), 1 / (GRID_ROWS * GRID_COLUMNS)],
    [len(LUMA_EDGES), 2 * len(CHROMA_EDGES), GRID_ROWS * GRID_COLUMNS],
).astype(np.float32) / np.float32(255)


def _distance(before: Floats32, after: Floats32) -> Floats32:
    """Return how far pairs of signatures [N, K] are apart: [N], 0 to 4."""
    return np.asarray(np.abs(after - before) @ WEIGHTS)


def _level(pace: Floats) -> Floats:
    """Return what is usual around each of N steps, but not at it: [N]."""
    count = len(pace)
    around = min(AROUND, (count - 1) // 2)
    if around == 0:
        return np.zeros(count)
    itself = np.arange(count)[:, None]
    near = np.clip(itself - around, 0, count - 2 * around - 1) + np.arange(2 * around + 1)
    others = pace[near[near != itself].reshape(count, 2 * around)]
    rank = int(TYPICAL * (2 * around - 1))
    return np.asarray(np.partition(others, rank, axis=1)[:, rank])


def _lasting(times_s: Floats, rows: Floats32, at: Indices) -> Floats:
    """Return the least distance between what is shortly before and shortly after frames `at` [M]: [M]."""
    least = np.full(len(at), np.inf)
    for back in range(FLASH_FRAMES):
        for ahead in range(FLASH_FRAMES):
            before, after = np.maximum(at - 1 - back, 0), np.minimum(at + ahead, len(rows) - 1)
            near = (times_s[at - 1] - times_s[before] <= FLASH_S) & (times_s[after] - times_s[at] <= FLASH_S)
            least = np.where(near, np.minimum(least, _distance(rows[before], rows[after])), least)
    return least


@lru_cache(maxsize=64)
def _layout(name: str) -> tuple[int, int] | None:
    """Return the bytes of a sample and the bits to drop from it; None where planes cannot be read as they are."""
    import av

    form = av.VideoFormat(name, 16, 16)
    parts = form.components
    if form.is_rgb or form.has_palette or form.is_big_endian or form.is_bit_stream or len(parts) not in (1, 3):
        return None
    bits = parts[0].bits
    if [part.plane for part in parts] != list(range(len(parts))) or any(part.bits != bits for part in parts):
        return None
    return (1, 0) if bits == 8 else (2, bits - 8) if 8 < bits <= 16 else None


def _points(plane: Any, size: int, drop: int, *, halved: bool) -> Pixels:
    """Return points spread evenly over a plane, [36, 64] or half of each, 8 bits."""
    rows, columns = (ROWS // 2, COLUMNS // 2) if halved else (ROWS, COLUMNS)
    where = _where(plane.height, plane.width, plane.line_size // size, rows, columns)
    if size == 1:
        return np.frombuffer(plane, np.uint8).take(where)
    return (np.frombuffer(plane, np.uint16).take(where) >> drop).astype(np.uint8)


@lru_cache(maxsize=64)
def _where(height: int, width: int, line: int, rows: int, columns: int) -> Indices:
    """Return where the points of a plane lie in its buffer, whose lines are `line` samples long: [rows, columns]."""
    return even_places(height, rows)[:, None] * line + even_places(width, columns)


def _signature(planes: list[Pixels]) -> Pixels:
    """Return the signature of points of brightness [36, 64] and, where there is colour, of two planes [18, 32]."""
    luma, *colours = planes
    parts: list[NDArray[Any]] = [_spread(luma, LUMA_EDGES)]
    parts += [_spread(plane, CHROMA_EDGES) for plane in colours] or [NO_COLOUR, NO_COLOUR]
    parts.append((TO_GRID_ROWS @ luma.astype(np.float32) @ TO_GRID_COLUMNS.T).ravel())
    return np.concatenate(parts, dtype=np.uint8, casting="unsafe")


def _spread(points: Pixels, edges: Indices) -> Floats:
    """Return how many of the points lie at or below each edge, 0 to 255 for all.

    Two such rows are as far apart as brightness moved. Plain histograms of a picture that slowly darkens differ by
    all or nothing.
    """
    return np.asarray(np.bincount(points.ravel(), minlength=256).cumsum()[edges] * (255 / points.size))


def _averaging(blocks: int, count: int) -> Floats32:
    """Return the matrix [blocks, count] that makes means of equal blocks."""
    inside = np.arange(count) * blocks // count == np.arange(blocks)[:, None]
    return np.asarray(inside * (blocks / count), np.float32)


TO_GRID_ROWS, TO_GRID_COLUMNS = _averaging(GRID_ROWS, ROWS), _averaging(GRID_COLUMNS, COLUMNS)
