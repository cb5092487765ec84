"""Tiny language models of the real classes with random weights."""

from pathlib import Path
from typing import Any

import torch

from tests.support.tiny import write_tokenizer


def write_language_model(folder: Path, kind: str) -> Path:
    """A Llama, BERT or T5 of some kilobytes with a tokenizer of letters."""
    from transformers import (
        BertConfig,
        BertModel,
        LlamaConfig,
        LlamaForCausalLM,
        PreTrainedTokenizerFast,
        T5Config,
        T5Model,
    )

    folder.mkdir(parents=True)
    torch.manual_seed(1)
    model: Any
    if kind == "llama":
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=64, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
                num_key_value_heads=1, max_position_embeddings=64, initializer_range=0.2,
            )
        )  # fmt: skip
    elif kind == "bert":
        model = BertModel(
            BertConfig(
                vocab_size=64, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
                max_position_embeddings=64, initializer_range=0.2,
            ),
            add_pooling_layer=False,
        )  # fmt: skip
    else:
        model = T5Model(T5Config(vocab_size=64, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2))
    model.save_pretrained(folder)
    tokenizer = write_tokenizer(folder / "letters.json")
    PreTrainedTokenizerFast(tokenizer_file=str(tokenizer), pad_token="[PAD]").save_pretrained(folder)
    return folder
