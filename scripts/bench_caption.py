"""Whether decoding hides behind captioning: `olmv caption`'s first stage against its captioner alone, in one run.

    python scripts/bench_caption.py [--quick] [--json FILE] [--videos 24]

A BLIP-2 of real parts and random weights, large enough that writing takes longer than decoding, captions 16 frames of
each clip (320x240, 10 s, H.264).

Figures:
    over_generate      seconds of stage one, files to captions / seconds of the captioner alone on the same frames
    one_after_other    the same for decoding everything first, with all workers, and captioning then
    generate_seconds, decode_seconds   a video
"""

import argparse
import tempfile
import time
from contextlib import closing
from pathlib import Path

import torch
from bench_common import report
from bench_predict import make_corpus
from tiny_llama import BOS, EOS, PAD, sentences, train_tokenizer

from olmv.captions.captioner import open_captioner
from olmv.captions.frames import caption_frames
from olmv.video.loader import FrameLoader

FRAMES, BATCH = 16, 16
VIDEOS, QUICK_VIDEOS = 24, 6
CLIPS = (320, 240, 10, 30)  # width, height, seconds, frames between keyframes
QUERIES = 16


def build(folder: Path) -> Path:
    """A BLIP-2 of 224 px with a vision tower of 6 layers and an OPT of 4; random weights."""
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        Blip2QFormerConfig,
        Blip2VisionConfig,
        BlipImageProcessor,
        OPTConfig,
        PreTrainedTokenizerFast,
    )

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=train_tokenizer(sentences()), bos_token=BOS, eos_token=EOS, pad_token=PAD
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    text = OPTConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        word_embed_proj_dim=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        ffn_dim=1024,
        max_position_embeddings=256,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = Blip2Config(
        vision_config=Blip2VisionConfig(
            hidden_size=384, intermediate_size=1536, num_hidden_layers=6, num_attention_heads=6, patch_size=16
        ),
        qformer_config=Blip2QFormerConfig(
            hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4, encoder_hidden_size=384
        ),
        text_config=text,
        num_query_tokens=QUERIES,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    torch.manual_seed(0)
    Blip2ForConditionalGeneration(config).save_pretrained(folder)
    Blip2Processor(BlipImageProcessor(), tokenizer, num_query_tokens=QUERIES).save_pretrained(folder)
    return folder


def measure(paths: list[str], model: Path) -> dict[str, float]:
    with closing(open_captioner(f"blip2:{model}", max_tokens=24)) as captioner:

        def loader() -> FrameLoader:
            return FrameLoader(paths, preprocess=captioner.preprocess, frames=FRAMES)

        begun = time.perf_counter()
        with loader() as videos:
            pixels = [video.pixels for video in videos if video.pixels is not None]
        decode = time.perf_counter() - begun
        assert len(pixels) == len(paths)
        captioner.caption(pixels[0])  # loads the weights
        begun = time.perf_counter()
        for part in pixels:
            captioner.caption(part)
        generate = time.perf_counter() - begun
        begun = time.perf_counter()
        told = sum(1 for _ in caption_frames(paths, captioner, batch_size=BATCH, frames=FRAMES))
        both = time.perf_counter() - begun
        assert told == len(paths)
    return {
        "over_generate": both / generate,
        "one_after_other": (decode + generate) / generate,
        "generate_seconds": generate / len(paths),
        "decode_seconds": decode / len(paths),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=VIDEOS)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_VIDEOS} videos, under a minute")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    count = QUICK_VIDEOS if args.quick else args.videos
    with tempfile.TemporaryDirectory() as folder:
        model = build(Path(folder) / "blip2")
        paths = make_corpus(Path(folder) / "clips", {"small": (count, *CLIPS)})["small"]
        figures = measure(paths, model)
    settings = {"videos": count, "frames": FRAMES, "batch": BATCH}
    report(figures, settings, args.json, "frame captions beside decoding")


if __name__ == "__main__":
    main()
