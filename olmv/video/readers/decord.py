"""Read frames through decord."""

import numpy as np

from olmv.video.frames import Pixels
from olmv.video.readers.indexed import IndexedReader

__all__ = ["DecordReader"]


class DecordReader(IndexedReader):
    """Reads through decord's `VideoReader`."""

    def _open(self, threads: int) -> None:
        import decord

        self._decoder = decord.VideoReader(self._path, ctx=decord.cpu(0), num_threads=threads)
        spans = np.asarray(self._decoder.get_frame_timestamp(range(len(self._decoder))), np.float64).reshape(-1, 2)
        steps = np.diff(spans[:, 0])
        if len(spans) and not ((steps > 0).all() and np.isfinite(spans).all() and (spans < 1e9).all()):
            # decord makes up times where the container has none (AVI)
            starts = np.arange(len(spans)) / float(self._decoder.get_avg_fps())
            spans = np.stack([starts, starts + starts[1:2].sum()], axis=1)
        self.timestamps_s = spans[:, 0] - spans[:1, 0]
        self.end_s = float(spans[-1, 1] - spans[0, 0]) if len(spans) else 0.0
        self.keyframes = np.asarray(self._decoder.get_key_indices(), np.int64)

    def _frame(self, index: int) -> Pixels:
        pixels: Pixels = self._decoder[index].asnumpy()
        return pixels
