"""The façade: a model, a list of labels, videos in, predictions out; worker processes decode while this one encodes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from torch import Tensor

from olmv.arguments import check_count, named_options
from olmv.errors import UsageError
from olmv.input_plan import InputPlan
from olmv.labels.texts import LabelTexts, build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.library.files import LibraryFiles
from olmv.library.source import StoredVideos
from olmv.models.base import VideoEmbedding, VideoModel, checked_model
from olmv.models.embed import default_batch_size, embed_clips
from olmv.models.hub.upload import push_to_hub
from olmv.models.registry import load_model
from olmv.models.storage.saving import save_pretrained
from olmv.predictions import VideoPrediction
from olmv.scoring.bank import TextBank
from olmv.scoring.encode_bank import encode_bank, truncated_texts
from olmv.scoring.options import FramePooling, Mode, Pooling, ScoreOptions
from olmv.scoring.prompted import PromptedBank
from olmv.scoring.thresholds import Thresholds
from olmv.scoring.windows import TimelineOptions
from olmv.stream import PartStore, embedded_parts, first_parts, make_scorer, predictions
from olmv.video.inputs import PreparedInput, VideoInput
from olmv.video.options import DecodeOptions, Decoder, Sampling
from olmv.video.workers.fork_server import ForkServer
from olmv.video.workers.loader import FrameLoader, start_workers
from olmv.video_embedding import embed_one, similarity_of

_SCORED_TOGETHER = 256  # windows of a library


class Classifier:
    """Tells which labels are true of videos.

    >>> classifier = Classifier.from_pretrained("olmv-mini")
    >>> for prediction in classifier.predict(["a.mp4"], ["dog", "rain"]):
    ...     print(prediction.video, prediction.positives)

    In a `with` statement the decoding processes stay ready between calls, for many calls with few videos each.

    Args:
        model: as `olmv.load_model` gives it.
    """

    def __init__(self, model: VideoModel) -> None:
        self.model = checked_model(model)
        self._fork_server: ForkServer | None = None

    def __repr__(self) -> str:
        return f"Classifier({self.model!r})"

    def __enter__(self) -> Self:
        if self._fork_server is None:
            self._fork_server = start_workers()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the decoding processes that a `with` statement keeps; safe to call twice."""
        if self._fork_server is not None:
            self._fork_server.close()
            self._fork_server = None

    @classmethod
    @named_options
    def from_pretrained(
        cls,
        name: str | Path | None = None,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        temporal: str | None = None,
        runtime: str = "torch",
    ) -> "Classifier":
        """Load a model by name, folder or hub id; see `olmv.load_model`.

        >>> classifier = Classifier.from_pretrained("hf:me/my-model", revision="v1")

        Args:
            name: of the model; None for the default (see `olmv.load_model`).
            revision: a branch, tag or commit of a model on the Hub (`ORG/REPO` then names one, with `hf:` or without).
            device, dtype, temporal, runtime: as `olmv.load_model`.

        Raises:
            ModelNotFoundError: no model has this name.
            WeightsUnavailableError: its weights are not here and cannot be fetched.
            UsageError: an option cannot be used.
        """
        if revision is not None:
            if name is None:
                raise UsageError("a revision goes with a model's name; name the model")
            name = f"hf:{str(name).removeprefix('hf:')}@{revision}"
        return cls(load_model(name, device=device, dtype=dtype, temporal=temporal, runtime=runtime))

    def save_pretrained(self, folder: str | Path, *, card: str | None = None, description: str = "") -> None:
        """Write the model as a folder that `from_pretrained` reads; see `olmv.save_pretrained`.

        Raises:
            OutputError: the folder cannot be written.
        """
        save_pretrained(self.model, folder, card=card, description=description)

    def push_to_hub(
        self,
        repo: str,
        *,
        card: str | None = None,
        description: str = "",
        private: bool = False,
        revision: str | None = None,
        message: str | None = None,
    ) -> str:
        """Save the model and send it to the Hub; `olmv models push` sends a folder, with figures in its card.

        Args:
            repo: ORG/REPO, or a folder in place of the Hub: see `olmv.models.hub.upload.push_to_hub`.
            card, description: as `save_pretrained`.
            private, revision, message: of the repository, its branch, the commit.

        Returns:
            Where it is.

        Raises ModelError where the Hub does not take it; the message says why.
        """
        with TemporaryDirectory(prefix="olmv-") as folder:
            self.save_pretrained(folder, card=card, description=description)
            return push_to_hub(folder, repo, private=private, revision=revision, message=message)

    @named_options
    def predict(
        self,
        paths: VideoInput | Iterable[VideoInput] | LibraryFiles,
        vocabulary: Vocabulary | Sequence[str],
        *,
        attributes: Mapping[str, Sequence[str]] | None = None,
        mode: Mode = "multi-label",
        thresholds: Mapping[str, float] | None = None,
        threshold: float | None = None,
        top_k: int | None = None,
        frames: int | None = None,
        every_s: float | None = None,
        max_frames: int | None = None,
        timeline: TimelineOptions | bool = False,
        fps: float | None = None,
        sampling: Sampling | None = None,
        pooling: Pooling = "mean",
        frame_pooling: FramePooling | None = None,
        templates: str | Sequence[str] | None = None,
        explain: bool = False,
        decoder: Decoder = "auto",
        workers: int | None = None,
        batch_size: int | None = None,
        thumbnails: bool = False,
        embeddings: bool = False,
        timeout_s: float = 60.0,
        text_progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[VideoPrediction]:
        """Predict, one result per input, in order; a bad file is a result with `status == "error"`.

        Args:
            paths: the inputs, or one of them. Each is a path; `bytes` or an open file (`rb`, read from where it stands)
                that hold a video or a photo; frames, uint8 [T, H, W, 3] in RGB (numpy or torch); a PIL image, which is
                a photo; or a list of PIL images in the list of inputs, which are the frames of one clip. A generator is
                read just ahead, in another thread. Or a library, whose videos are not decoded again; it says itself
                how they were sampled. What has no name of its own is called by its place, as `<array 0>`.
            vocabulary: the labels, or only their names, in a list.
            attributes: what labels look like, a book or a dict; added to what the vocabulary says.
            mode: `multi-label` gives every label its own probability, `single-label` shares out 1 among them.
            thresholds: per label: a dict, of these labels only, or `Thresholds`, as `olmv calibrate` fits them, which
                may be of more labels; if they carry a scaling, probabilities are calibrated.
            threshold: one threshold for all labels; wins over all others.
            top_k: keep the most probable labels only, best first.
            frames: to sample from a video, seen as one clip. None for what the model is made for, mostly 8, and of
                videos of more than 16 s one each 2 s, seen in windows of that many.
            every_s: sample a frame each so many seconds, in place of `frames`.
            max_frames: the most of a video, but for a timeline; None for 512, and with `every_s` for no most.
            timeline: also tell when each label is true: `segments` and `curve`; True for the default windows.
            fps: frames per second of arrays and lists of images. None: their `duration_s` is None, `frames` of them
                are looked at however many they are, `times_s` are their numbers; `every_s` and `timeline` need it.
            sampling: `uniform`, `dense`, `adaptive` or `keyframes`; None for `uniform`.
            pooling: over a label's texts: `mean`, `max`, `topk` or `softmax`.
            frame_pooling: over frames, if the model leaves any: `mean`, `max`, `softmax`, or `logits` (Open-VCLIP's
                mean of the frames' logits); None for what the model was trained with, mostly `mean`.
            templates: a set by name (`video`, `open-vclip`, `none`), or sentences with `{}` for the
                label; None for what the model was made with.
            explain: also say which texts and frames carried the most probable labels.
            decoder: `auto`, `pyav`, `decord` or `torchcodec`.
            workers: decoding processes; None for one per core, 0 to decode in this process.
            batch_size: frames per forward pass; None for 64 on a GPU and 16 on a CPU.
            thumbnails, embeddings: also return the sampled frames as small JPEGs, and the embedding of each video.
            timeout_s: seconds that one file may take to decode.
            text_progress: called with (done, all) while texts are encoded.

        Raises:
            UsageError: an option is unknown or out of range, a dict has a label that is not asked, the labels are one
                text, an input is nothing that can be looked at (another type or shape, a closed file), the model is
                made for another number of frames, or a library is of another model or sampling, is empty or was
                changed. Raised by the call itself, not by the first step, but for inputs that are in no list.
        """
        if batch_size is not None:
            check_count("batch_size", batch_size)
        words = Vocabulary.of(vocabulary, attributes)
        plan = InputPlan.of(
            paths,
            self.model,
            decode=DecodeOptions(decoder=decoder, workers=workers, timeout_s=timeout_s, thumbnails=thumbnails),
            sampling=sampling,
            frames=frames,
            every_s=every_s,
            max_frames=max_frames,
            timeline=timeline,
            fps=fps,
        )
        return self.stream(
            plan.inputs,
            words,
            decode=plan.decode,
            timeline=plan.timeline,
            stored=plan.stored,
            score=ScoreOptions(
                mode=mode,
                pooling=pooling,
                frame_pooling=frame_pooling,
                templates=templates,
                threshold=threshold,
                top_k=top_k,
                explain=explain,
            ),
            thresholds=None if thresholds is None else Thresholds.of(thresholds, words.names),
            batch_size=batch_size,
            embeddings=embeddings,
            progress=text_progress,
        )

    def stream(
        self,
        paths: str | Path | Iterable[PreparedInput],
        vocabulary: Vocabulary,
        *,
        decode: DecodeOptions,
        score: ScoreOptions,
        thresholds: Thresholds | None = None,
        batch_size: int | None = None,
        embeddings: bool = False,
        progress: Callable[[int, int], None] | None = None,
        inspect: Callable[[LabelTexts, TextBank | PromptedBank], None] | None = None,
        loader: FrameLoader | None = None,
        timeline: TimelineOptions | None = None,
        store: PartStore | None = None,
        advanced: Callable[[int, int], None] = lambda done, total: None,
        stored: StoredVideos | None = None,
    ) -> Iterator[VideoPrediction]:
        """Predict as `predict` does, with options that are declared already; errors are raised by the call itself.

        `inspect` is handed the texts and their bank before the first video. `loader` decodes these paths already; it is
        closed if it does so in another way than asked for. `store` has what was done of videos before, and takes every
        part that is done; `advanced` is told of them (done, all). `stored` has these videos; `decode` is its own then.
        """
        paths = [paths] if isinstance(paths, str | Path) else paths
        names = [str(path) for path in paths] if store is not None or stored is not None else []
        if stored is not None:
            stored.check(self.model, timeline)
        elif loader is None or not loader.serves(self.model.preprocess, decode):
            if loader is not None:
                loader.close()
            loader = FrameLoader(
                names or paths,
                preprocess=self.model.preprocess,
                options=decode,
                fork_server=self._fork_server,
                first_parts={} if store is None else first_parts(store, names),
            )
        scorer = make_scorer(
            self.model, vocabulary, decode, score, thresholds=thresholds, timeline=timeline, embeddings=embeddings
        )
        texts = build_texts(vocabulary, score.templates or self.model.templates)
        if stored is not None:
            stored.verify(names)

        def run() -> Iterator[VideoPrediction]:
            with ExitStack() as stack:
                if loader is not None:
                    stack.enter_context(closing(loader)).start()  # it decodes while the texts are encoded
                bank = self.text_bank(texts, mode=score.mode, progress=progress)
                if inspect is not None:
                    inspect(texts, bank)
                if stored is not None:
                    parts = stored.parts(names, self.model, decode, timeline=timeline)
                elif loader is not None:
                    size = batch_size or self.default_batch_size
                    parts = embedded_parts(loader, self.model, decode, timeline=timeline, batch_size=size)
                together = 1 if stored is None else _SCORED_TOGETHER
                yield from predictions(parts, scorer, bank, store=store, advanced=advanced, together=together)

        return run()

    @property
    def default_batch_size(self) -> int:
        """Return the number of frames per forward pass."""
        return default_batch_size(self.model)

    def text_bank(
        self, texts: LabelTexts, *, mode: Mode = "multi-label", progress: Callable[[int, int], None] | None = None
    ) -> TextBank | PromptedBank:
        """Embed all texts; see `olmv.scoring.encode_bank.encode_bank`."""
        return encode_bank(self.model, texts, mode=mode, progress=progress)

    def embed_video(self, video: VideoInput) -> Tensor:
        """Return the embedding [D] of one video, L2-normalised, float32 on the CPU.

        Args:
            video: a path, bytes, an open file or PIL images, sampled as `predict` does by itself; or frames, uint8
                [T, H, W, 3] or [T, 3, H, W] of any size, all of which are looked at.

        Raises:
            UsageError: it is nothing that can be looked at.
            VideoError: it cannot be read.
        """
        return embed_one(self.model, video, fork_server=self._fork_server)

    def similarity(self, video: VideoInput, text: str) -> float:
        """Return the cosine of a text, such as a caption, and a video: its embedding [D], or as `embed_video` takes it.

        Raises:
            UsageError: as `embed_video`; an embedding of another model, one whose texts depend on more, or no text.
            VideoError: it cannot be read.
        """
        embedding = video if getattr(video, "ndim", 0) == 1 else self.embed_video(video)
        return similarity_of(self.model, embedding, text)

    def truncated_texts(
        self, vocabulary: Vocabulary | Sequence[str], *, templates: str | Sequence[str] | None = None
    ) -> list[tuple[str, str, int]]:
        """Return texts longer than the model reads: (label, text, number of tokens). Their ends are cut off."""
        return truncated_texts(self.model, build_texts(Vocabulary.of(vocabulary), templates or self.model.templates))

    def embed_clips(self, pixels: Sequence[Tensor], *, batch_size: int | None = None) -> list[VideoEmbedding]:
        """Return the embeddings of several clips; see `olmv.models.embed.embed_clips`."""
        return embed_clips(self.model, pixels, batch_size=batch_size)
