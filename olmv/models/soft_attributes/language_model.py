"""A frozen language model that reads vectors, for `olmv.models.soft_attributes.module`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from olmv.devices import choose
from olmv.errors import ModelError, WeightsUnavailableError, reason
from olmv.io.network import fetching
from olmv.models.clip.tokens import padded
from olmv.models.storage.file_checks import check_folder
from olmv.models.storage.tokenizer_check import check_tokenizer_folder

__all__ = ["LanguageModel", "load_language_model"]

LABELS_FORMAT = "olmv-labels/1"
MAX_LABEL_TOKENS = 128
"""What the language model reads of a label at most."""
SPARE_POSITIONS = 2


class LanguageModel:
    """A frozen Hugging Face language model that reads vectors and gives its last hidden states.

    Not an `nn.Module`, so that whatever owns one neither trains nor saves it.

    Args:
        model: what `AutoModel` gives, a decoder or an encoder; put into eval mode and frozen here.
        tokenizer: its tokenizer.
        name: the folder or hub id.

    Raises:
        ModelError: an encoder-decoder.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        if model.config.is_encoder_decoder:
            raise ModelError(f"the language model '{name}' is an encoder-decoder; use a decoder or an encoder")
        self.model = model.eval().requires_grad_(False)
        self.model.config.use_cache = False
        self.tokenizer, self.name = tokenizer, name
        config = model.config.get_text_config()
        self.embeddings: nn.Module = model.get_input_embeddings()
        table: Any = self.embeddings.weight
        self.input_width = int(table.shape[1])
        self.hidden_size = int(config.hidden_size)
        self.positions: int | None = getattr(config, "max_position_embeddings", None)
        self.described: dict[str, Any] = {
            "model_type": config.model_type,
            "vocab_size": int(table.shape[0]),
            "input_width": self.input_width,
            "hidden_size": self.hidden_size,
            "layers": int(config.num_hidden_layers),
        }
        """What tells it apart from another language model of the same name."""

    def label_tokens(self, prefixes: int) -> int:
        """Return how many tokens of a label fit behind so many prefixes; below 1 where none do."""
        if self.positions is None:
            return MAX_LABEL_TOKENS
        return min(MAX_LABEL_TOKENS, self.positions - prefixes - SPARE_POSITIONS)

    def __call__(self, prefixes: Tensor, labels: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Read prefixes [P, d_in] before each of C labels -> states [C, L, d] float32, mask [C, L] True where real.

        The gradient flows through the model to the prefixes. It follows their device.
        """
        device = prefixes.device
        if self.embeddings.weight.device != device:
            self.model.to(device)
        limit = self.label_tokens(len(prefixes))
        rows = [ids[:limit] for ids in self.tokenizer(list(labels), add_special_tokens=False)["input_ids"]]
        ids, mask = padded(rows, device)
        words: Tensor = self.embeddings(ids)
        inputs = torch.cat([prefixes.to(words.dtype).expand(len(rows), -1, -1), words], dim=1)
        mask = torch.cat([mask.new_ones(len(rows), len(prefixes)), mask], dim=1)
        hidden: Tensor = self.model(inputs_embeds=inputs, attention_mask=mask.long()).last_hidden_state
        return hidden.float(), mask


def load_language_model(name: str | Path, *, device: str | torch.device = "cpu") -> LanguageModel:
    """Load a decoder (Llama, ...) or an encoder (BERT, MiniLM, ...) for `SoftAttributes`; safetensors only.

    Args:
        name: a folder, or an id on the Hugging Face hub.
        device: where to; float32 on a CPU, half precision on a GPU.

    Raises:
        ModelError: an encoder-decoder, or weights that are not those of its config.
        WeightsUnavailableError: it is not here and cannot be fetched, or has no safetensors.
        UsageError: unknown device.
    """
    if (folder := Path(name)).is_dir():
        check_folder(folder)
        check_tokenizer_folder(folder)
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    placement = choose(device)
    dtype = torch.float32 if placement.device.type == "cpu" else placement.dtype
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with fetching():
            tokenizer = AutoTokenizer.from_pretrained(str(name), trust_remote_code=False)
            model, loading_info = AutoModel.from_pretrained(
                str(name), dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
    except Exception as error:  # hub, network, file and format errors have no common class
        raise WeightsUnavailableError(
            f"the language model '{name}' cannot be had ({reason(error)}); "
            "get on line once, or name a folder that holds it as safetensors"
        ) from None
    finally:
        if bars:
            logging.enable_progress_bar()
    # transformers fills what a file lacks with random numbers; only the pooler is never read here
    missing = sorted(key for key in loading_info["missing_keys"] if "pooler" not in key)
    if missing:
        raise ModelError(f"the language model '{name}' lacks weights such as {missing[0]}; download it again")
    return LanguageModel(model.to(placement.device), tokenizer, str(name))
