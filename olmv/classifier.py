"""The façade: a model, a list of labels, videos in, predictions out; worker processes decode while this one encodes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from torch import Tensor, from_numpy

from olmv.errors import UsageError
from olmv.labels.attributes import AttributeBook
from olmv.labels.texts import LabelTexts, build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.library.files import LibraryFiles
from olmv.library.source import StoredVideos
from olmv.models.base import VideoEmbedding, VideoModel
from olmv.models.embed import default_batch_size, embed_clips, video_vector
from olmv.models.hub.upload import push_to_hub
from olmv.models.registry import load_model
from olmv.models.storage.saving import save_pretrained
from olmv.predictions import VideoPrediction
from olmv.scoring.bank import TextBank
from olmv.scoring.encode_bank import encode_bank, truncated_texts
from olmv.scoring.options import FramePooling, Mode, Pooling, ScoreOptions, check_choice
from olmv.scoring.prompted import PromptedBank
from olmv.scoring.thresholds import Thresholds
from olmv.scoring.windows import TimelineOptions, sampled
from olmv.stream import PartStore, embedded_parts, first_parts, make_scorer, predictions
from olmv.video.inputs import PreparedInput, VideoInput, prepared, separate
from olmv.video.options import SAMPLINGS, DecodeOptions, Decoder, Sampling
from olmv.video.workers.fork_server import ForkServer
from olmv.video.workers.loader import FrameLoader, start_workers

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
        self.model = model
        self._fork_server: ForkServer | None = None

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
            UsageError: the device, the dtype or the runtime cannot be used.
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

        Raises:
            ModelError: the Hub does not take it; the message says why.
        """
        with TemporaryDirectory(prefix="olmv-") as folder:
            self.save_pretrained(folder, card=card, description=description)
            return push_to_hub(folder, repo, private=private, revision=revision, message=message)

    def predict(
        self,
        paths: VideoInput | Iterable[VideoInput] | LibraryFiles,
        vocabulary: Vocabulary | Sequence[str],
        *,
        attributes: AttributeBook | None = None,
        mode: Mode = "multi-label",
        thresholds: Thresholds | None = None,
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
            attributes: what the labels look like; added to what the vocabulary says.
            mode: `multi-label` gives every label its own probability, `single-label` shares out 1 among them.
            thresholds: per label, fitted with `olmv calibrate`; if they carry a scaling, probabilities are calibrated.
            threshold: one threshold for all labels; wins over all others.
            top_k: keep the most probable labels only, best first.
            frames: to sample from a video, seen as one clip. None for what the model is made for, mostly 8, and of
                videos of more than 16 s one each 2 s, seen in windows of that many.
            every_s: sample a frame each so many seconds, in place of `frames`.
            max_frames: the most of a video, but for a timeline; None for 512, and with `every_s` for no most.
            timeline: also tell when each label is true: `prediction.segments` and `prediction.curve`. True for the
                default windows.
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
            UsageError: an option is out of range, the labels are one text, an input is nothing that can be looked at
                (another type or shape, a closed file), the model is made for another number of frames, or a library is
                of another model or sampling, is empty or was changed. Raised by the call itself, not by the first step,
                but for inputs that are in no list.
        """
        for name, value in (("frames", frames), ("batch size", batch_size)):
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 1")
        check_choice("sampling", sampling or "uniform", SAMPLINGS)
        times = (TimelineOptions() if timeline else None) if isinstance(timeline, bool) else timeline
        stored = StoredVideos(paths) if isinstance(paths, LibraryFiles) else None
        inputs: Iterable[PreparedInput] = ()
        if stored is not None:
            inputs, times = stored.names, (stored.settings.timeline or times) if timeline is True else times
            decode = stored.decode_options(
                frames=frames, every_s=every_s, max_frames=max_frames, sampling=sampling, thumbnails=thumbnails
            )
        else:
            decode = sampled(
                DecodeOptions(
                    max_frames=max_frames,
                    sampling=sampling or "uniform",
                    decoder=decoder,
                    workers=workers,
                    timeout_s=timeout_s,
                    thumbnails=thumbnails,
                ),
                frames=frames,
                every_s=every_s,
                timeline=times,
                model_frames=self.model.default_frames,
            )
            inputs = prepared(separate(paths), fps=fps, timed=times is not None or every_s is not None)
        return self.stream(
            inputs,
            Vocabulary.of(vocabulary, attributes),
            decode=decode,
            timeline=times,
            stored=stored,
            score=ScoreOptions(
                mode=mode,
                pooling=pooling,
                frame_pooling=frame_pooling,
                templates=templates,
                threshold=threshold,
                top_k=top_k,
                explain=explain,
            ),
            thresholds=thresholds,
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
                together = 1
                if stored is not None:
                    parts, together = stored.parts(names, self.model, decode, timeline=timeline), _SCORED_TOGETHER
                elif loader is not None:
                    size = batch_size or self.default_batch_size
                    parts = embedded_parts(loader, self.model, decode, timeline=timeline, batch_size=size)
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

    def embed_video(self, pixels: Tensor) -> Tensor:
        """Return the embedding [D] of one video from its frames, uint8 [T, 3, H, W] of any size."""
        resized = from_numpy(self.model.preprocess.resize(pixels.permute(0, 2, 3, 1).cpu()))
        return video_vector(self.embed_clips([resized], batch_size=len(resized))[0])

    def similarity(self, embedding: Tensor, text: str) -> float:
        """Return the cosine of a video's embedding [D] and a text, such as its caption.

        Raises:
            UsageError: a model whose texts depend on more of the video than its embedding.
        """
        if self.model.prompts_texts:
            raise UsageError(f"the texts of {self.model.name} depend on the whole video; compare with a video CLIP")
        return float(embedding.float() @ self.model.encode_texts([text])[0])

    def truncated_texts(
        self, vocabulary: Vocabulary | Sequence[str], *, templates: str | Sequence[str] | None = None
    ) -> list[tuple[str, str, int]]:
        """Return texts longer than the model reads: (label, text, number of tokens). Their ends are cut off."""
        return truncated_texts(self.model, build_texts(Vocabulary.of(vocabulary), templates or self.model.templates))

    def embed_clips(self, pixels: Sequence[Tensor], *, batch_size: int | None = None) -> list[VideoEmbedding]:
        """Return the embeddings of several clips; see `olmv.models.embed.embed_clips`."""
        return embed_clips(self.model, pixels, batch_size=batch_size)
