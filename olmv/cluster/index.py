"""`olmv index` on Ray: actors write the fragments into the library, the driver holds its lock and lists them.

The folder of the library must be one that all machines see under the same name. A fragment is there whole or not at
all, and belongs to one block: one that is done again replaces its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from olmv.cluster.decoding import ActorDecoding
from olmv.cluster.engine import RayEngine, blocks_of
from olmv.devices import Placement
from olmv.errors import OutputError, VideoError
from olmv.index.engine import IndexedVideo
from olmv.library.encode import LibraryPart, background_bank, join_parts, library_parts
from olmv.library.fragment import write_fragment
from olmv.library.records import absolute, failure
from olmv.library.settings import LibrarySettings
from olmv.library.writer import LibraryWriter
from olmv.models.registry import load_model
from olmv.placement import PlacementOptions
from olmv.video.options import DecodeOptions

__all__ = ["IndexWorker", "RayIndexer"]

_MOST = 64  # videos of a block, which is a fragment


class RayIndexer:
    """Indexes on Ray, see `olmv.index.engine.IndexEngine`.

    Args:
        engine: open.
    """

    def __init__(self, engine: RayEngine) -> None:
        self._engine = engine

    def placement(self, options: PlacementOptions) -> Placement:
        """Choose device and dtype as an actor would."""
        return self._engine.placement(options)

    def index(
        self,
        videos: Sequence[str],
        writer: LibraryWriter,
        *,
        model: str,
        placement: Placement,
        batch_size: int | None,
        decode: DecodeOptions,
    ) -> Iterator[IndexedVideo]:
        """Fill a library; yield the videos of a block when its fragment is listed.

        Raises:
            UsageError: an actor has another model under this name.
            OutputError: an actor cannot write the library, or it lacks videos at the end.
        """
        arguments = {
            "folder": str(writer.folder.absolute()),
            "settings": writer.settings,
            "model": model,
            "device": str(placement.device),
            "dtype": placement.dtype_name,
            "runtime": placement.runtime,
            "batch_size": batch_size,
            "decode": replace(decode, workers=self._engine.workers),
        }
        blocks = blocks_of(videos, actors=self._engine.actors, most=_MOST)
        numbers = writer.reserve(len(blocks))
        numbered = dict(zip(numbers, blocks.values(), strict=True))
        for number, results in self._engine.map(numbered, IndexWorker, arguments):
            if not writer.place(number).is_dir():
                raise OutputError(
                    f"actors write {writer.folder}, but not this one: name a folder that all machines share",
                    option="output",
                )
            writer.accept(number)
            yield from results
        # an actor of a run that was killed may have written under a number that was given away again
        entries = writer.library().entries
        missing = sum(absolute(video) not in entries for video in videos)
        if missing:
            raise OutputError(f"{writer.folder} lacks {missing} videos; run the same command again")


class IndexWorker:
    """Indexes in an actor.

    Args:
        folder: of the library.
        settings: of it.
        model, device, dtype, runtime, batch_size: how videos are encoded.
        decode: how they are decoded.

    Raises:
        UsageError: the model is another one here.
    """

    def __init__(
        self,
        *,
        folder: str,
        settings: LibrarySettings,
        model: str,
        device: str,
        dtype: str,
        runtime: str,
        batch_size: int | None,
        decode: DecodeOptions,
    ) -> None:
        self._folder, self._settings, self._decode, self._batch_size = Path(folder), settings, decode, batch_size
        self._model = load_model(model, device=device, dtype=dtype, runtime=runtime)
        settings.check_model(self._model, folder)
        self._decoding = ActorDecoding(self._model.preprocess, decode)
        self._background = background_bank(self._model)

    def work(self, paths: Sequence[str], error: VideoError | None = None) -> list[list[LibraryPart]]:
        """Return the parts of each video."""
        videos: list[list[LibraryPart]] = []
        with self._decoding.loader(paths, error) as loader:
            parts = library_parts(
                loader,
                self._model,
                self._decode,
                timeline=self._settings.timeline,
                background=self._background,
                batch_size=self._batch_size,
            )
            for part in parts:
                if part.record.frames.part == 0:
                    videos.append([])
                videos[-1].append(part)
        return videos

    def finish(self, block: int, results: list[list[LibraryPart]]) -> list[IndexedVideo]:
        """Write the fragment of a block.

        Raises:
            OutputError: the disk is full, or the folder cannot be written.
        """
        content = join_parts([part for parts in results for part in parts], dimension=self._settings.dimension)
        write_fragment(self._folder / "fragments" / f"{block:06d}", content)
        return [
            IndexedVideo(
                parts[0].record.video,
                sum(len(part.vectors) for part in parts),
                failure([part.record for part in parts]),
            )
            for parts in results
        ]
