"""Whether decoding hides behind captioning: `olmv caption`'s first stage against its captioner alone, in one run.

    python scripts/benchmarks/bench_caption.py [--quick] [--json FILE] [--videos 24]

A BLIP-2 of real parts and random weights, with a ViT-B (a published one has a ViT-g, twelve times as large), captions
16 frames of each clip (320x240, 10 s, H.264). Here it computes on the cores that decode, which nothing can hide; the
second captioner only waits as long as the first took, as one on a GPU does.

Figures:
    over_generate      seconds of stage one, files to captions / seconds of the captioner alone on the same frames
    over_generate/elsewhere   the same for the captioner that leaves the cores free
    one_after_other    the same for decoding everything first, with all workers, and captioning then
    generate_seconds, decode_seconds   a video
"""

import argparse
import tempfile
import time
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from olmv.caption.captioner import FrameCaptioner, open_captioner
from olmv.caption.frame_captions import caption_frames
from olmv.video.options import DecodeOptions
from olmv.video.transforms import Preprocess
from olmv.video.workers.loader import FrameLoader
from scripts.benchmarks.common import report
from scripts.benchmarks.predict_corpus import make_corpus
from scripts.research.tiny_llama import BOS, EOS, PAD, sentences, train_tokenizer

FRAMES, BATCH = 16, 16
VIDEOS, QUICK_VIDEOS = 16, 4
CLIPS = (320, 240, 10, 30)  # width, height, seconds, frames between keyframes
QUERIES = 16


def build(folder: Path) -> Path:
    """A BLIP-2 of 224 px with a ViT-B and an OPT of 4 layers; random weights."""
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
    from transformers.utils import logging

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
            hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, patch_size=16
        ),
        qformer_config=Blip2QFormerConfig(
            hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4, encoder_hidden_size=768
        ),
        text_config=text,
        num_query_tokens=QUERIES,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    torch.manual_seed(0)
    logging.disable_progress_bar()
    Blip2ForConditionalGeneration(config).save_pretrained(folder)
    Blip2Processor(
        BlipImageProcessor(size={"height": 224, "width": 224}), tokenizer, num_query_tokens=QUERIES
    ).save_pretrained(folder)
    return folder


def measure(paths: list[str], model: Path) -> dict[str, float]:
    with closing(open_captioner(f"blip2:{model}", max_tokens=24)) as captioner:

        def loader() -> FrameLoader:
            return FrameLoader(paths, preprocess=captioner.preprocess, options=DecodeOptions(frames=FRAMES))

        begun = time.perf_counter()
        with loader() as videos:
            pixels = [video.tensor for video in videos]
        decode = time.perf_counter() - begun
        assert len(pixels) == len(paths)
        captioner.caption(pixels[0])  # loads the weights
        begun = time.perf_counter()
        for part in pixels:
            captioner.caption(part)
        generate = time.perf_counter() - begun
        both = seconds_of_stage_one(paths, captioner)
        elsewhere = seconds_of_stage_one(paths, Waiting(captioner.preprocess, generate / len(paths) / FRAMES))
    return {
        "over_generate": both / generate,
        "over_generate/elsewhere": elsewhere / generate,
        "one_after_other": (decode + generate) / generate,
        "generate_seconds": generate / len(paths),
        "decode_seconds": decode / len(paths),
    }


def seconds_of_stage_one(paths: list[str], captioner: FrameCaptioner) -> float:
    begun = time.perf_counter()
    decode = DecodeOptions(frames=FRAMES)
    told = sum(1 for video in caption_frames(paths, captioner, batch_size=BATCH, decode=decode) if video.captions)
    seconds = time.perf_counter() - begun
    if told != len(paths):
        raise SystemExit(f"{told} of {len(paths)} videos were captioned")
    return seconds


class Waiting:
    """A captioner that takes its time and no core.

    Args:
        preprocess: of the captioner it stands for.
        frame_s: seconds a frame.
    """

    name = "waiting"

    def __init__(self, preprocess: Preprocess, frame_s: float) -> None:
        self.preprocess, self._frame_s = preprocess, frame_s

    def caption(self, frames: Tensor) -> list[str]:
        time.sleep(self._frame_s * len(frames))
        return ["a picture of something"] * len(frames)

    def close(self) -> None: ...


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
