"""A language model in this process, by transformers' own `generate`: for small machines and small models."""

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from olmv.devices import choose
from olmv.errors import OlmvError, UsageError, reason
from olmv.llm.backends.local import Batch, LocalChat
from olmv.llm.grammar import SchemaProcessor
from olmv.llm.pretrained import parse_options, quiet_transformers, unavailable
from olmv.llm.types import Completion, Generation, JsonSchema

__all__ = ["TransformersChat"]

OPTIONS = ("attn_implementation", "device", "device_map", "dtype", "max_memory", "offload_folder", "revision")


class TransformersChat(LocalChat):
    """Generates in batches, left-padded.

    Args:
        model: a folder or a hub id; weights in safetensors.
        name: as the user wrote it.
        batch_size: conversations generated together.
        options: `device`, `dtype`, and what `from_pretrained` takes of `OPTIONS`.

    Raises:
        UsageError: an option is unknown or contradicts another.
    """

    def __init__(self, model: str, *, name: str, batch_size: int, options: Mapping[str, str]) -> None:
        values = parse_options(options, OPTIONS, "transformers:")
        if "device" in values and "device_map" in values:
            raise UsageError("device and device_map contradict each other; give one of them")
        super().__init__(model, name=name, batch_size=batch_size, options=values)
        self._model: Any = None
        self._grammar_tokenizer: Any = None

    def _prepare(
        self, schema: JsonSchema | None, generation: Generation
    ) -> Callable[[Batch], Iterator[tuple[int, Completion]]]:
        self._load()
        grammar = self._compile(schema)
        seeds = itertools.count(generation.seed)
        return lambda batch: self._answer(batch, grammar, generation, seed=next(seeds))

    def close(self) -> None:
        """Give the weights' memory back. The next `complete` loads them again."""
        self._model = self._grammar_tokenizer = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _load(self) -> None:
        if self._model is not None:
            return
        from transformers import AutoModelForCausalLM

        local_only = self._tokenizer.local_only
        options = dict(self._options)
        placement = choose(str(options.pop("device", "auto")), str(options.pop("dtype", "auto")))
        try:
            with quiet_transformers():
                model = AutoModelForCausalLM.from_pretrained(
                    self._model_name,
                    dtype=placement.dtype,
                    use_safetensors=True,
                    trust_remote_code=False,
                    local_files_only=local_only,
                    **options,
                )
                # with a device map accelerate has already placed it
                self._model = (model if "device_map" in options else model.to(placement.device)).eval()
        except OlmvError:
            raise
        except Exception as failure:
            raise unavailable(self._model_name, failure, local_only=local_only) from failure

    def _compile(self, schema: JsonSchema | None) -> str | None:
        if schema is None:
            return None
        import llguidance.hf
        from llguidance import LLMatcher

        if self._grammar_tokenizer is None:
            width = self._model.get_output_embeddings().weight.shape[0]
            self._grammar_tokenizer = llguidance.hf.from_tokenizer(
                self._tokenizer.hf, n_vocab=max(width, len(self._tokenizer.hf)), eos_token=self._end_tokens()
            )
        try:
            # without white space between tokens a small model cannot dither there for ever
            grammar: str = LLMatcher.grammar_from_json_schema(dict(schema), defaults={"whitespace_flexible": False})
        except ValueError as failure:
            raise UsageError(f"the JSON schema cannot be enforced: {reason(failure)}") from failure
        wrong = LLMatcher.validate_grammar(grammar, self._grammar_tokenizer)
        if wrong:
            raise UsageError(f"the JSON schema cannot be enforced: {wrong}")
        return grammar

    def _end_tokens(self) -> list[int]:
        """Return the tokens that end an answer; Llama 3 has three."""
        ends = self._model.generation_config.eos_token_id
        if ends is None:
            ends = self._tokenizer.hf.eos_token_id
        return list(ends) if isinstance(ends, list | tuple) else [int(ends)]

    def _answer(
        self, batch: Batch, grammar: str | None, generation: Generation, *, seed: int
    ) -> Iterator[tuple[int, Completion]]:
        """Answer a batch; a conversation that cannot be answered says why and leaves the others alone."""
        context = getattr(self._model.config.get_text_config(), "max_position_embeddings", None) or sys.maxsize
        prompts: dict[int, list[int]] = {}
        for number, conversation in batch:
            try:
                tokens = self._tokenizer.encode(conversation)
            except Exception as failure:
                yield number, Completion("", "error", error=f"the chat template refuses it: {reason(failure)}")
                continue
            if len(tokens) < context:
                prompts[number] = tokens
            else:
                error = f"the prompt has {len(tokens)} tokens and {self._model_name} takes {context - 1}; shorten it"
                yield number, Completion("", "error", prompt_tokens=len(tokens), error=error)
        room = context - max(map(len, prompts.values()), default=0)
        settings = self._settings(generation, min(generation.max_tokens, room))
        answers = self._generate(list(prompts.values()), grammar, settings, seed)
        yield from zip(prompts, answers, strict=True)

    def _settings(self, generation: Generation, max_tokens: int) -> Any:
        from transformers import GenerationConfig

        ends = self._end_tokens()
        drawn = generation.temperature > 0
        # what is left open here is filled in from the model's own generation config
        return GenerationConfig(
            max_new_tokens=max_tokens,
            do_sample=drawn,
            temperature=generation.temperature if drawn else 1.0,
            top_p=generation.top_p if drawn else 1.0,
            top_k=0,
            repetition_penalty=1.0,
            num_beams=1,
            eos_token_id=ends,
            pad_token_id=ends[0],
        )

    def _generate(self, prompts: list[list[int]], grammar: str | None, settings: Any, seed: int) -> list[Completion]:
        """Answer in the prompts' order; what is too large for the memory is done in halves."""
        if not prompts:
            return []
        try:
            return self._generate_together(prompts, grammar, settings, seed)
        except torch.OutOfMemoryError:
            if len(prompts) == 1:
                error = f"out of memory on {self._model.device}; choose a smaller model or dtype"
                return [Completion("", "error", prompt_tokens=len(prompts[0]), error=error)]
        half = len(prompts) // 2
        parts = (prompts[:half], prompts[half:])
        return [answer for part in parts for answer in self._generate(part, grammar, settings, seed)]

    def _generate_together(
        self, prompts: list[list[int]], grammar: str | None, settings: Any, seed: int
    ) -> list[Completion]:
        from llguidance import LLMatcher
        from transformers import LogitsProcessorList

        device, longest = self._model.device, max(map(len, prompts))
        ids = torch.tensor([[settings.pad_token_id] * (longest - len(p)) + p for p in prompts], device=device)
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=device)
        processors = LogitsProcessorList()
        if grammar is not None:
            matchers = [LLMatcher(self._grammar_tokenizer, grammar) for _ in prompts]
            processors.append(SchemaProcessor(matchers, start=longest, ends=settings.eos_token_id))
        gpus = list(range(torch.cuda.device_count())) if device.type == "cuda" else []
        with torch.random.fork_rng(devices=gpus), torch.inference_mode(), quiet_transformers():
            torch.manual_seed(seed)
            out = self._model.generate(
                input_ids=ids, attention_mask=mask, generation_config=settings, logits_processor=processors
            )
        rows = out[:, longest:].tolist()
        return [self._completion(len(p), row, settings.eos_token_id) for p, row in zip(prompts, rows, strict=True)]

    def _completion(self, prompt_tokens: int, tokens: list[int], ends: Sequence[int]) -> Completion:
        stop = next((k for k, token in enumerate(tokens) if token in ends), None)
        used = len(tokens) if stop is None else stop + 1
        text = self._tokenizer.hf.decode(tokens[:used], skip_special_tokens=True)
        return Completion(text, "length" if stop is None else "stop", prompt_tokens, used)
