"""X-CLIP beside transformers' own: whether the logits are the same, and which is faster.

    python scripts/benchmarks/bench_xclip.py [--quick] [--json FILE]

Fresh random weights of the real architectures, none of them at its starting value, carried over by `from_hf_state`;
random frames; texts of 5 to 9 tokens padded to the longest. Logits are cosines times 100, as
after training.

Figures:
    max_abs_diff            between the logits of both, float32, the largest over models and frame counts; also
                            max_abs_diff/MODEL/FRAMES
    throughput_ratio_fp32   videos a second of olmv over those of transformers, both whole models in float32, on
                            base/32 at 8 frames, 8 videos and 16 labels at a time; median over rounds, arms taking turns
    throughput_ratio_bf16   the same with weights of olmv in bfloat16, beside transformers in float32 still; on a CPU
                            without instructions for it (`settings` tells) this is far below 1, and olmv does not use
                            it there; then, and with --quick, it is done once with one video at a time
    bf16_abs_diff           between the logits of olmv in bfloat16 and transformers' in float32, the largest
    prompting_over_encoding the time a video takes to prompt 1,000 labels, over the time to encode it; float32, base/32
"""

import argparse
import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from olmv.models.xclip.keys import from_hf_state
from olmv.models.xclip.network import XClip, XClipConfig
from scripts.benchmarks.common import report
from scripts.benchmarks.turns import ratio, time_in_turns
from tests.models.xclips import hf_config

MODELS = ("base/32", "base/16", "large/14")
FRAMES = (8, 16)
BATCH, LABELS, SCALE = 8, 16, 100.0


def theirs(config: XClipConfig) -> Any:
    """transformers' model of these sizes; every weight is moved off its starting value."""
    described = hf_config(config)
    from transformers import XCLIPModel

    model = XCLIPModel(described).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("prompts_generator.decoder") and parameter.ndim == 2:
                # transformers starts these at deviation 1, which saturates the softmax and multiplies every rounding
                # error by a hundred; the authors at 0.02, as trained weights are
                parameter.mul_(0.02)
            parameter.add_(torch.randn_like(parameter), alpha=0.01)
        model.logit_scale.fill_(torch.tensor(SCALE).log())
    return model


def ours(model: Any, config: XClipConfig, dtype: torch.dtype = torch.float32) -> XClip:
    with torch.device("meta"):
        made = XClip(config)
    made.load_state_dict(from_hf_state(model.state_dict(), config), assign=True)
    return made.to(dtype).eval()


def inputs(config: XClipConfig, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Frames [B, T, 3, S, S], ids [K, L] and their attention mask, as transformers' processor gives them."""
    frames = torch.randn(batch, config.frames, 3, config.image_size, config.image_size)
    start, end = config.vocab_size - 2, config.vocab_size - 1
    lengths = torch.randint(5, 10, (LABELS, 1))
    place = torch.arange(int(lengths.max()))[None]
    ids = torch.randint(1, start, (LABELS, place.shape[1])).masked_fill(place >= lengths - 1, end)
    ids[:, 0] = start
    return frames, ids, (place < lengths).long()


def parity(name: str, frame_count: int) -> float:
    config = XClipConfig.preset(name, frames=frame_count)
    torch.manual_seed(0)
    model = theirs(config)
    frames, ids, mask = inputs(config, 1)
    expected = model(pixel_values=frames, input_ids=ids, attention_mask=mask).logits_per_video
    converted = ours(model, config)
    del model  # two of the large ones need not fit
    difference = float((converted.logits(frames, ids) - expected).abs().max())
    print(f"{name} at {frame_count} frames: {difference:.2g}, logits {expected.min():.1f} to {expected.max():.1f}")
    return difference


def throughput(dtype: torch.dtype, batch: int, rounds: int) -> tuple[float, float, float]:
    """Videos a second over transformers' in float32, videos a second, and the largest difference of a logit."""
    config = XClipConfig.preset("base/32")
    torch.manual_seed(0)
    model = theirs(config)
    converted = ours(model, config, dtype)
    frames, ids, mask = inputs(config, batch)
    arms: dict[str, Callable[[], Tensor]] = {
        "transformers": lambda: model(pixel_values=frames, input_ids=ids, attention_mask=mask).logits_per_video,
        "olmv": lambda: converted.logits(frames, ids),
    }
    difference = float((arms["transformers"]() - arms["olmv"]()).abs().max())  # and warms up
    took = time_in_turns(arms, rounds)
    return ratio(took, "transformers", "olmv"), batch / min(took["olmv"]), difference


def prompting(rounds: int) -> float:
    """What 1,000 labels cost beside the video itself."""
    model = XClip(XClipConfig.preset("base/32")).eval()
    frames, _, _ = inputs(model.config, 1)
    texts = torch.randn(1000, model.config.embed_dim)
    _, context = model.encode_video(frames)
    arms: dict[str, Callable[[], Tensor]] = {
        "prompting": lambda: model.condition(texts, context),
        "encoding": lambda: model.encode_video(frames)[0],
    }
    return ratio(time_in_turns(arms, rounds), "prompting", "encoding")


def bf16_instructions() -> bool:
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    file = Path("/proc/cpuinfo")
    return file.exists() and any(flag in file.read_text() for flag in ("avx512_bf16", "amx_bf16"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="base/32 at 8 frames and fewer rounds, about a minute")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    started = time.perf_counter()
    rounds = 2 if args.quick else 5
    bf16_rounds, bf16_batch = (1, 1) if args.quick or not bf16_instructions() else (2, BATCH)
    figures: dict[str, float] = {}
    with torch.inference_mode():
        for name in MODELS[:1] if args.quick else MODELS:
            for frame_count in FRAMES[:1] if args.quick else FRAMES:
                figures[f"max_abs_diff/{name}/{frame_count}"] = parity(name, frame_count)
                gc.collect()
        figures["max_abs_diff"] = max(figures.values())
        for short, dtype, batch, turns in (
            ("fp32", torch.float32, BATCH, rounds),
            ("bf16", torch.bfloat16, bf16_batch, bf16_rounds),
        ):
            speed, figures[f"videos_per_s_{short}"], difference = throughput(dtype, batch, turns)
            figures[f"throughput_ratio_{short}"] = speed
            print(f"{short}: {speed:.3f}, difference {difference:.2g}", flush=True)
        figures["bf16_abs_diff"] = difference
        figures["prompting_over_encoding"] = prompting(rounds)
    figures["seconds"] = time.perf_counter() - started
    settings = {
        "batch": BATCH,
        "bf16_batch": bf16_batch,
        "labels": LABELS,
        "rounds": rounds,
        "bf16_rounds": bf16_rounds,
        "bf16_instructions": bf16_instructions(),
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }
    report(figures, settings, args.json, "X-CLIP beside transformers'")


if __name__ == "__main__":
    main()
