"""Read frames through torchcodec."""

import numpy as np

from olmv.errors import MissingDependencyError
from olmv.video.frames import Pixels
from olmv.video.readers.indexed import IndexedReader, first_line

__all__ = ["TorchCodecReader"]


class TorchCodecReader(IndexedReader):
    """Reads through torchcodec's `VideoDecoder`, with an exact scan of the file."""

    def _open(self, threads: int) -> None:
        try:
            from torchcodec.decoders import VideoDecoder
        except (ImportError, RuntimeError, OSError) as error:
            raise MissingDependencyError(
                f"torchcodec cannot be loaded ({first_line(error)}); install FFmpeg and a torchcodec that matches "
                "torch, or use the decoder auto",
                option="decoder",
            ) from None
        self._decoder = VideoDecoder(
            self._path,
            stream_index=self._stream_index,
            dimension_order="NHWC",
            num_ffmpeg_threads=threads,
            seek_mode="exact",
        )
        count = len(self._decoder)
        spans = np.array([self._span(i) for i in range(count)], np.float64).reshape(-1, 2)
        self.timestamps_s = spans[:, 0] - spans[:1, 0]
        self.end_s = float(spans[-1].sum() - spans[0, 0]) if count else 0.0
        keys = getattr(self._decoder, "_get_key_frame_indices", None)
        self.keyframes = np.zeros(1, np.int64) if keys is None else np.asarray(keys(), np.int64)

    def _span(self, index: int) -> tuple[float, float]:
        frame = self._decoder.get_frame_at(index)
        return float(frame.pts_seconds), float(frame.duration_seconds)

    def _frame(self, index: int) -> Pixels:
        pixels: Pixels = self._decoder[index].numpy()
        return pixels
