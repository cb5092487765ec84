"""Run `olmv index`: videos in, a library of their embeddings out; safe to kill and take up again."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from olmv.datasets.manifests import expand_inputs
from olmv.datasets.shards import Shard, selected
from olmv.errors import InputError, UsageError
from olmv.index.plan import IndexPlan, plan_new, plan_update
from olmv.index.summary import IndexSummary
from olmv.library.files import LibraryFiles
from olmv.library.settings import LibrarySettings, check_fillable, is_library
from olmv.library.table import write_videos
from olmv.models.ahead import decode_ahead
from olmv.models.default import chosen_model, drawings_note
from olmv.placement import PlacementOptions
from olmv.progress import JobListener
from olmv.scoring.windows import TimelineOptions, sampled
from olmv.video.options import DecodeOptions, Sampling

if TYPE_CHECKING:
    from olmv.index.engine import IndexEngine
    from olmv.library.writer import LibraryWriter
    from olmv.models.base import VideoModel
    from olmv.video.workers.loader import FrameLoader

__all__ = ["IndexJob", "IndexSummary", "run"]


@dataclass(frozen=True, kw_only=True)
class IndexJob:
    """What to index and into which library.

    What is None of model, dtype and sampling is as the library has it, where there is one.

    Attributes:
        inputs: videos, photos, folders, globs and manifests; may be empty with `update` or `compact`.
        output: folder of the library.
        model: name or folder.
        frames, every_s, timeline: as in `olmv.predict.job.PredictJob`.
        sampling: as `DecodeOptions`.
        decode, placement: how; what `decode` says of the number of frames and of sampling is set by those above.
        update: also look for changed, deleted and moved files, and try failed ones again.
        compact: at the end, rewrite fragments that are small or hold what counts no more.
        shard: which part of the inputs; None for all.
    """

    inputs: list[str]
    output: Path
    model: str | None = None
    frames: int | None = None
    every_s: float | None = None
    timeline: TimelineOptions | None = None
    sampling: Sampling | None = None
    decode: DecodeOptions = DecodeOptions()
    placement: PlacementOptions = PlacementOptions()
    update: bool = False
    compact: bool = False
    shard: Shard | None = None

    @property
    def samples(self) -> bool:
        """Tell whether it says how often to look; else a library that is there does."""
        given = (self.frames, self.every_s, self.timeline, self.decode.max_frames)
        return any(value is not None for value in given)


def run(job: IndexJob, listener: JobListener, engine: "IndexEngine | None" = None) -> IndexSummary:
    """Do the job; everything that can be checked is checked before the model is loaded.

    With an engine, it decodes and encodes; the model is loaded here for the library's settings only.

    Stages that the listener is told of: `parts of the video`, `fragments`.

    Raises:
        UsageError: inputs, options or a library that cannot be used; nothing was done.
        OutputError: the disk became full, or another run writes the library; what is in it is kept.
    """
    old = _existing(job)
    videos = None
    if job.inputs:
        videos = selected(expand_inputs(job.inputs, note=listener.note), job.shard, note=listener.note)
    with ExitStack() as stack:
        # before anything imports torch: small files are decoded by the time it is there
        model = _model(job, old, listener)
        complete = partial(_decode_options, job, old)
        writer = None
        if old is None:
            plan = IndexPlan(videos=videos or [], todo=videos or [])
        else:
            writer = _open_writer(job, old, stack, listener)
            plan = _plan(job, writer.library(), videos)
        summary = IndexSummary(
            total=len(plan.videos), earlier=plan.earlier, earlier_failed=plan.earlier_failed, changed=plan.changed
        )
        listener.started(total=summary.total, done=summary.earlier)
        if plan.todo or old is None or _lasting(model) != old.model:
            ahead = stack.enter_context(decode_ahead(model, plan.todo, complete, unless=engine is not None))
            decode = complete(_frames(model, job))
            if old is not None:
                _check_options(job, old, decode)
            loaded = _load(job, old, model, listener, engine)
            timeline = job.timeline if old is None else old.timeline
            settings = LibrarySettings.of(loaded, decode, timeline, name=_lasting(model))
            if old is not None:
                old.check_same(settings, job.output)
            if writer is None:
                writer = _open_writer(job, settings, stack, listener)
            _write_changes(job, writer, plan, summary)
            if plan.todo and engine is not None:
                _index_elsewhere(job, engine, writer, _lasting(model), decode, plan.todo, summary, listener)
            elif plan.todo:
                _index(job, writer, loaded, decode, plan.todo, ahead, summary, listener)
        elif writer is not None:
            if job.samples or job.sampling is not None:
                _check_options(job, old, complete(_frames(model, job)))
            _write_changes(job, writer, plan, summary)
        assert writer is not None, "there is a library by now"
        if job.compact:
            from olmv.library.compact import compact

            compact(writer.library(), writer, partial(listener.advanced, stage="fragments"))
        _finish(writer, summary)
    return summary


def _existing(job: IndexJob) -> LibrarySettings | None:
    """Read the settings of a library that is there; check that there is something to do."""
    for item in job.inputs:
        if item != "-" and is_library(item):
            raise InputError(f"{item} is a library, not videos; name the videos, or a folder of them")
    if is_library(job.output):
        if not (job.inputs or job.update or job.compact):
            raise UsageError("no input: name a video, a folder, a glob or a manifest", option=("update", "compact"))
        return LibrarySettings.read(job.output)
    check_fillable(job.output)
    if not job.inputs:
        raise InputError(f"there is no library in {job.output}; name videos to make one of")
    return None


def _model(job: IndexJob, old: LibrarySettings | None, listener: JobListener) -> str:
    if old is not None and job.model is None:
        folder = Path(old.model.removeprefix("local-dir:"))
        if folder.is_absolute() and not folder.exists():
            raise UsageError(
                f"{job.output} was made with {old.model}, which is not there; name where it is", option="model"
            )
        return old.model
    name, note = chosen_model(job.model)
    if note is not None:
        listener.note(note)
    return name


def _frames(model: str, job: IndexJob) -> int:
    from olmv.models.registry import frames_for

    return frames_for(model, job.frames) or DecodeOptions.frames


def _decode_options(job: IndexJob, old: LibrarySettings | None, model_frames: int) -> DecodeOptions:
    sampling = job.sampling or ("uniform" if old is None else old.sampling)
    timeline = job.timeline
    if old is not None and not job.samples:
        timeline = old.timeline
        options = replace(
            old.decode,
            decoder=job.decode.decoder,
            workers=job.decode.workers,
            timeout_s=job.decode.timeout_s,
            sampling=sampling,
        )
    else:
        options = sampled(
            replace(job.decode, sampling=sampling),
            frames=job.frames,
            every_s=job.every_s,
            timeline=timeline,
            model_frames=model_frames,
        )
    # a picture for each step of the windows
    step = (options.frames if options.every_s is None else model_frames) // 2
    if timeline is not None and options.every_s is not None:
        step = round(timeline.step_s / options.every_s)
    return replace(options, thumbnails=True, thumbnail_step=max(step, 1))


def _check_options(job: IndexJob, old: LibrarySettings, decode: DecodeOptions) -> None:
    """Check before a model is loaded what can be: that videos would be sampled as those in the library."""
    timeline = job.timeline if job.samples else old.timeline
    asked = replace(
        old,
        frames=decode.frames,
        every_s=decode.every_s,
        max_frames=decode.max_frames,
        sampling=decode.sampling,
        window_s=None if timeline is None else timeline.window_s,
        step_s=None if timeline is None else timeline.step_s,
    )
    old.check_same(asked, job.output)


def _open_writer(job: IndexJob, settings: LibrarySettings, stack: ExitStack, listener: JobListener) -> "LibraryWriter":
    from olmv.library.writer import LibraryWriter

    writer = stack.enter_context(LibraryWriter(job.output, settings))
    if writer.missing:
        names = ", ".join(f"{number:06d}" for number in writer.missing)
        listener.note(
            f"fragments {names} are missing: their videos are not in the library until they are indexed again"
        )
    return writer


def _plan(job: IndexJob, library: LibraryFiles, videos: list[str] | None) -> IndexPlan:
    if job.update:
        return plan_update(library, videos, job.inputs)
    return plan_new(library, videos or [])


def _load(
    job: IndexJob, old: LibrarySettings | None, model: str, listener: JobListener, engine: "IndexEngine | None"
) -> "VideoModel":
    from olmv.models.registry import load_model

    place = job.placement
    dtype = old.dtype if old is not None and place.dtype == "auto" and place.runtime == "torch" else place.dtype
    if engine is not None:  # the settings name the numbers that it computes in
        dtype = engine.placement(replace(place, dtype=dtype)).dtype_name
    loaded = load_model(model, device=place.device, dtype=dtype, runtime=place.runtime)
    if (warning := drawings_note(loaded.name)) is not None:
        listener.note(warning)
    return loaded


def _lasting(model: str) -> str:
    """Return the name of a model by which it is found from another folder too."""
    prefix = "local-dir:" if model.startswith("local-dir:") else ""
    folder = Path(model.removeprefix(prefix))
    return f"{prefix}{folder.absolute()}" if folder.is_dir() else model


def _write_changes(job: IndexJob, writer: "LibraryWriter", plan: IndexPlan, summary: IndexSummary) -> None:
    """Write which videos moved, and which are gone."""
    if plan.moves:
        from olmv.library.compact import moved_videos

        content = moved_videos(writer.library(), plan.moves)
        writer.write(replace(content, removed=[*content.removed, *plan.removed]))
    elif plan.removed:
        writer.flush(removed=plan.removed)
    summary.moved, summary.removed = len(plan.moves), len(plan.removed)


def _index(
    job: IndexJob,
    writer: "LibraryWriter",
    model: "VideoModel",
    decode: DecodeOptions,
    videos: Sequence[str],
    loader: "FrameLoader | None",
    summary: IndexSummary,
    listener: JobListener,
) -> None:
    from olmv.library.encode import background_bank, library_parts
    from olmv.library.records import failure
    from olmv.video.workers.loader import FrameLoader

    if loader is None or not loader.serves(model.preprocess, decode):
        if loader is not None:
            loader.close()
        loader = FrameLoader(videos, preprocess=model.preprocess, options=decode)
    begun = time.monotonic()
    with loader.start():  # it decodes while the background is encoded
        parts = library_parts(
            loader,
            model,
            decode,
            timeline=writer.settings.timeline,
            background=background_bank(model),
            batch_size=job.placement.batch_size,
        )
        records = []
        try:
            for part in parts:
                records.append(part.record)
                summary.windows += len(part.vectors)
                writer.add(part)
                number, count = part.record.frames.part + 1, part.record.frames.parts
                if count > 1:
                    listener.advanced(number, count, stage="parts of the video")
                if number == count:
                    summary.count(records[0].video, failure(records))
                    records = []
                    listener.advanced(summary.earlier + summary.ok + summary.failed, summary.total)
        except KeyboardInterrupt as stop:
            writer.flush()
            stop.add_note(f"{job.output} has what is done; run the same command again to go on")
            raise
    writer.flush()
    summary.seconds = time.monotonic() - begun


def _index_elsewhere(
    job: IndexJob,
    engine: "IndexEngine",
    writer: "LibraryWriter",
    model: str,
    decode: DecodeOptions,
    videos: Sequence[str],
    summary: IndexSummary,
    listener: JobListener,
) -> None:
    begun = time.monotonic()
    placement = engine.placement(replace(job.placement, dtype=writer.settings.dtype))
    size = job.placement.batch_size
    for video in engine.index(videos, writer, model=model, placement=placement, batch_size=size, decode=decode):
        summary.count(video.video, video.error)
        summary.windows += video.windows
        listener.advanced(summary.earlier + summary.ok + summary.failed, summary.total)
    summary.seconds = time.monotonic() - begun


def _finish(writer: "LibraryWriter", summary: IndexSummary) -> None:
    if writer.missing:
        writer.keep(writer.numbers)  # the user was told
    library = writer.library()
    write_videos(library)
    summary.videos, summary.all_windows = len(library), library.windows
    summary.fragments, summary.bytes = len(library.fragments), sum(fragment.size for fragment in library.fragments)
