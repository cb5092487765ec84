"""Tiny captioning models with random weights: every path of a real one in a second, and captions without any sense.

Both are saved with `save_pretrained`, so that the classes under test read them as they read a published model.
"""

from pathlib import Path
from typing import Any

import torch

import olmv  # noqa: F401  (the torchvision guard, before transformers)
from olmv.caption.captioner import open_captioner
from scripts.research.tiny_llama import BOS, EOS, PAD, SPECIAL, sentences, train_tokenizer

SIZE, PATCH = 32, 8
QUERIES = 4
WIDTH = 32
IMAGE = "<image>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
# large enough that the picture, not only the last word, decides the next word
SPREAD = 0.3


def build(folder: str | Path, seed: int = 0, *, t5: bool = False) -> Path:
    """Write a BLIP-2 and its processor into `folder`; the same files for the same seed.

    Args:
        folder: made if need be.
        seed: of the weights.
        t5: write with a T5, an encoder-decoder, in place of an OPT.

    Returns:
        The folder.
    """
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        Blip2QFormerConfig,
        Blip2VisionConfig,
        BlipImageProcessor,
    )

    tokenizer = _tokenizer()
    processor = Blip2Processor(
        BlipImageProcessor(size={"height": SIZE, "width": SIZE}), tokenizer, num_query_tokens=QUERIES
    )
    vision = Blip2VisionConfig(
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIZE,
        patch_size=PATCH,
        initializer_range=SPREAD,
    )
    qformer = Blip2QFormerConfig(
        vocab_size=64,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=64,
        initializer_range=SPREAD,
    )
    config = Blip2Config(
        vision_config=vision,
        qformer_config=qformer,
        text_config=_t5(len(tokenizer)) if t5 else _opt(len(tokenizer)),
        num_query_tokens=QUERIES,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        initializer_range=SPREAD,
        tie_word_embeddings=False,
    )
    return _save(Path(folder), Blip2ForConditionalGeneration, config, processor, seed)


def build_chat(folder: str | Path, seed: int = 0) -> Path:
    """Write a LLaVA (CLIP and Llama) with a chat template into `folder`; the same files for the same seed.

    Args:
        folder: made if need be.
        seed: of the weights.

    Returns:
        The folder.
    """
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokenizer = _tokenizer()
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}, do_center_crop=True
        ),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=SIZE,
        patch_size=PATCH,
        initializer_range=SPREAD,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=SPREAD,
        tie_word_embeddings=False,
        **_special_ids(),
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=(SIZE // PATCH) ** 2,
        initializer_range=SPREAD,
    )
    return _save(Path(folder), LlavaForConditionalGeneration, config, processor, seed)


def _opt(vocabulary: int) -> Any:
    from transformers import OPTConfig

    return OPTConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        word_embed_proj_dim=WIDTH,
        ffn_dim=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
        init_std=SPREAD,
        dropout=0.0,
        tie_word_embeddings=False,
        **_special_ids(),
    )


def _t5(vocabulary: int) -> Any:
    from transformers import T5Config

    special = _special_ids()
    return T5Config(
        vocab_size=vocabulary,
        d_model=WIDTH,
        d_kv=WIDTH // 2,
        d_ff=2 * WIDTH,
        num_layers=2,
        num_heads=2,
        initializer_factor=1.0,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        pad_token_id=special["pad_token_id"],
        eos_token_id=special["eos_token_id"],
        decoder_start_token_id=special["pad_token_id"],
    )


def _tokenizer() -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=train_tokenizer(sentences()),
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        additional_special_tokens=[*SPECIAL[3:], IMAGE],
        clean_up_tokenization_spaces=False,
    )


def _special_ids() -> dict[str, int]:
    return {
        "bos_token_id": SPECIAL.index(BOS),
        "eos_token_id": SPECIAL.index(EOS),
        "pad_token_id": SPECIAL.index(PAD),
    }


def _save(folder: Path, kind: Any, config: Any, processor: Any, seed: int) -> Path:
    from transformers.utils import logging

    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(config).to(torch.float32)
        for name, weight in model.named_parameters():
            # the classes leave these at nought, and every picture would look the same
            if name.endswith(("query_tokens", "position_embedding", "class_embedding")):
                torch.nn.init.normal_(weight, std=SPREAD)
    logging.disable_progress_bar()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def opened(spec: str, **given: Any) -> Any:
    """In float32: in bfloat16 two words can tie, and padding then decides."""
    return open_captioner(spec, **{"device": "cpu", "dtype": "float32", "max_tokens": 8, **given})


def pictures(count: int, size: int) -> torch.Tensor:
    """Frames that differ in colour and in texture."""
    random = torch.Generator().manual_seed(3)
    noise = torch.randint(0, 256, (count, 3, size, size), generator=random)
    colour = torch.randint(0, 256, (count, 3, 1, 1), generator=random)
    return ((noise + 3 * colour) // 4).to(torch.uint8)
