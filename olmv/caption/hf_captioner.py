"""The two captioners that run in this process: BLIP-2, and any image-text-to-text model with a chat template."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from olmv.caption.hf_loading import OPTIONS, Source, answers, free, greedy
from olmv.devices import choose
from olmv.errors import CaptionerUnavailableError, OlmvError, UsageError, reason
from olmv.llm.pretrained import parse_options, quiet_transformers
from olmv.video.transforms import Preprocess

__all__ = ["Blip2Captioner", "ChatCaptioner"]

QUESTION = "Describe what this picture shows in one short sentence."
CHAT_SIZE = 448
# Pillow's numbers, as image processors store them
_INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}


class _Captioner(ABC):
    """What both share: options, loading at the first caption, halving what is too large.

    Args:
        model: a folder or a hub id; weights in safetensors.
        name: as the user wrote it.
        device: as for `olmv.load_model`.
        dtype: as for `olmv.load_model`.
        max_tokens: a caption is cut off here.
        options: what `from_pretrained` takes of `OPTIONS`, values as YAML.

    Raises:
        UsageError: an option is unknown or contradicts another, or the device is not here.
    """

    family: str

    def __init__(
        self, model: str, *, name: str, device: str, dtype: str, max_tokens: int, options: Mapping[str, str]
    ) -> None:
        self.name = name
        self._model_name = model
        self._options = parse_options(options, OPTIONS, f"{self.family}:")
        self._revision: str | None = self._options.pop("revision", None)
        if device != "auto" and "device_map" in self._options:
            raise UsageError("device and device_map contradict each other; give one of them", option="device")
        if max_tokens < 1:
            raise UsageError(f"a caption of {max_tokens} tokens says nothing; use at least 1")
        self._placement = choose(device, dtype)
        self._max_tokens = max_tokens
        self._source: Source | None = None
        self._processor: Any = None
        self._model: Any = None

    def caption(self, frames: Tensor) -> list[str]:
        """Write one caption a frame; see `FrameCaptioner.caption`.

        Raises:
            CaptionerUnavailableError: the model cannot be loaded, or not even one frame fits in memory.
            UsageError: it is not a model for this captioner.
        """
        if len(frames) == 0:
            return []
        if self._model is None:
            self._read()
            assert self._source is not None
            self._model = self._load(self._source)
        try:
            return self._halved(frames)
        except OlmvError:
            raise
        except Exception as failure:
            raise CaptionerUnavailableError(f"{self._model_name} cannot caption: {reason(failure)}") from failure

    def close(self) -> None:
        """Give the weights' memory back. The next `caption` loads them again."""
        self._model = None
        free()

    def _halved(self, frames: Tensor) -> list[str]:
        """Caption frames; what is too large for the memory is done in halves."""
        try:
            with torch.inference_mode(), quiet_transformers():
                return self._answer(frames)
        except torch.OutOfMemoryError:
            if len(frames) == 1:
                raise CaptionerUnavailableError(
                    f"out of memory on {self._placement.device} with a single frame; choose a smaller model or dtype"
                ) from None
        # only here, outside the handler, is the failed attempt's memory free
        free()
        half = len(frames) // 2
        return [*self._halved(frames[:half]), *self._halved(frames[half:])]

    def _read(self) -> None:
        """Read config and processor, no weights."""
        if self._processor is not None:
            return
        from transformers import AutoConfig

        source = Source.find(self._model_name, self._revision)
        config = source.read(AutoConfig)
        self._check(config)
        self._processor = self._read_processor(source, config)
        self._source = source

    @abstractmethod
    def _check(self, config: Any) -> None:
        """Raise CaptionerUnavailableError for a model of another kind."""

    @abstractmethod
    def _read_processor(self, source: Source, config: Any) -> Any:
        """Return the processor of the model; no weights."""

    @abstractmethod
    def _load(self, source: Source) -> Any:
        """Return the model with its weights."""

    @abstractmethod
    def _answer(self, frames: Tensor) -> list[str]:
        """Return the captions of one batch that fits."""

    def _device(self) -> torch.device:
        """Tell where inputs go. Weights that a device map put on disk have no device of their own."""
        device: torch.device = self._model.device
        return self._placement.device if device.type == "meta" else device


class Blip2Captioner(_Captioner):
    """BLIP-2, asked nothing: it sees the picture and begins to write, as in its paper's captioning."""

    family = "blip2"

    @property
    def preprocess(self) -> Preprocess:
        """Return the image processor's own resizing; see `FrameCaptioner.preprocess`.

        Raises:
            CaptionerUnavailableError: the model's files cannot be had.
        """
        self._read()
        images = self._processor.image_processor
        size, resample = dict(images.size), images.resample
        side, interpolation = size.get("height"), _INTERPOLATIONS.get(int(resample) if resample is not None else 3)
        if not side or side != size.get("width") or interpolation is None:
            raise CaptionerUnavailableError(
                f"{self._model_name} wants its pictures resized to {size} with filter {resample}, which olmv does not; "
                "choose a BLIP-2 with square pictures"
            )
        return Preprocess(
            size=int(side),
            mean=tuple(images.image_mean),
            std=tuple(images.image_std),
            interpolation=interpolation,
            resize_mode="squash",
        )

    def _check(self, config: Any) -> None:
        if config.model_type != "blip-2":
            raise CaptionerUnavailableError(
                f"{self._model_name} is not a BLIP-2 but a {config.model_type}; "
                f"a chat model that reads pictures is named hf:{self._model_name}"
            )

    def _read_processor(self, source: Source, config: Any) -> Any:
        from transformers import Blip2Processor

        return source.processor(Blip2Processor, config)

    def _load(self, source: Source) -> Any:
        from transformers import Blip2ForConditionalGeneration

        model = source.weights(Blip2ForConditionalGeneration, self._placement, self._options)
        if model.config.image_token_index is None:  # saved before transformers 4.46
            model.config.image_token_index = self._processor.tokenizer.convert_tokens_to_ids("<image>")
        if model.config.image_token_index >= model.get_input_embeddings().num_embeddings:
            raise CaptionerUnavailableError(
                f"{self._model_name} has no embedding for its image token; save it with a newer transformers"
            )
        return model

    def _answer(self, frames: Tensor) -> list[str]:
        config, device = self._model.config, self._device()
        # the processor would resize once more, and go through Pillow
        pixels = self.preprocess.normalize(frames, dtype=self._placement.dtype, device=device)
        prompt = [config.image_token_index] * config.num_query_tokens + [self._start(config.text_config)]
        ids = torch.tensor([prompt] * len(frames), device=device)
        # the language model generates by its own generation config, not by that of the whole
        ends_of = (self._model.language_model.generation_config, config.text_config)
        settings = greedy(self._processor.tokenizer, self._max_tokens, ends_of)
        output = self._model.generate(
            pixel_values=pixels, input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings
        )
        return answers(self._processor.tokenizer, output, ids)

    def _start(self, text_config: Any) -> int:
        """Return the token after the picture: OPT's beginning of text, or T5's end, as the published ones take it."""
        start = getattr(text_config, "bos_token_id", None)
        return int(self._processor.tokenizer.eos_token_id if start is None else start)


class ChatCaptioner(_Captioner):
    """A chat model that reads pictures, asked `QUESTION` about each frame."""

    family = "hf"

    @property
    def preprocess(self) -> Preprocess:
        """Take the shortest side to 448 and the centre, as classifiers see a frame; see `FrameCaptioner.preprocess`.

        The model's processor resizes again, to what the model was made for.

        Raises:
            CaptionerUnavailableError: the model's files cannot be had.
            UsageError: it has no chat template.
        """
        self._read()
        return Preprocess(size=CHAT_SIZE)

    def _check(self, config: Any) -> None:
        from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KINDS

        if config.model_type not in KINDS:
            raise CaptionerUnavailableError(
                f"{self._model_name} is a {config.model_type}, which reads no pictures; "
                "choose an image-text-to-text model"
            )

    def _read_processor(self, source: Source, config: Any) -> Any:
        from transformers import AutoProcessor

        processor = source.processor(AutoProcessor, config)
        if not getattr(processor, "chat_template", None):
            raise UsageError(
                f"{self._model_name} has no chat template; choose an -Instruct model, or name a BLIP-2 as blip2:MODEL"
            )
        tokenizer, images = processor.tokenizer, processor.image_processor
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        # a frame of 448 pixels cut in tiles and enlarged costs ten times the tokens and shows nothing more
        for setting in ("do_image_splitting", "crop_to_patches"):
            if getattr(images, setting, False):
                setattr(images, setting, False)
        return processor

    def _load(self, source: Source) -> Any:
        from transformers import AutoModelForImageTextToText

        return source.weights(AutoModelForImageTextToText, self._placement, self._options)

    def _answer(self, frames: Tensor) -> list[str]:
        from PIL import Image

        pictures = [[Image.fromarray(frame.permute(1, 2, 0).contiguous().cpu().numpy())] for frame in frames]
        prompt = self._prompt()
        options: dict[str, Any] = {"padding": True, "return_tensors": "pt"}
        start = self._processor.tokenizer.bos_token
        if start and prompt.startswith(start):  # or there would be two
            options["add_special_tokens"] = False
        inputs = self._processor(text=[prompt] * len(pictures), images=pictures, **options)
        settings = greedy(self._processor.tokenizer, self._max_tokens, [self._model.generation_config])
        moved = {key: self._moved(value) for key, value in inputs.items()}
        output = self._model.generate(**moved, generation_config=settings)
        return answers(self._processor.tokenizer, output, inputs["input_ids"])

    def _prompt(self) -> str:
        question = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
        prompt: str = self._processor.apply_chat_template(question, add_generation_prompt=True, enable_thinking=False)
        return prompt

    def _moved(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return (
            value.to(self._device(), self._placement.dtype) if value.is_floating_point() else value.to(self._device())
        )
