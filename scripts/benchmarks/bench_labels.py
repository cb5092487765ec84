"""What describing the labels costs and what it is worth.

    python scripts/benchmarks/bench_labels.py [--only map|server] [--quick] [--json FILE] [--clips 2000] [--seed 3000]
                                   [--model olmv-mini] [--frame-pooling softmax] [--vllm-env FOLDER]
                                   [--llm-model FOLDER]

Parts:
    map      100 objects of the Moji world under obscure names, with and without an attribute book
             (`bench_labels_map.py` tells the figures)
    server   writing the book with an LLM behind a server (`bench_labels_server.py`); needs an environment with
             vllm and is skipped without one. --llm-model is a real language model, as scripts/tools/get_small_llm
             makes one, in place of a tiny one with random weights
"""

import argparse
import time
from pathlib import Path

from scripts.benchmarks.bench_labels_map import map_figures
from scripts.benchmarks.bench_labels_server import server_figures
from scripts.benchmarks.common import report
from scripts.benchmarks.eval_mini import POOLINGS
from scripts.benchmarks.results import Figure, write

QUICK_CLIPS = 200


def server_part(vllm_env: Path | None, quick: bool, llm_model: Path | None) -> dict[str, float]:
    """The figures of the server, or none and a line that says why."""
    if vllm_env is None:
        print("server part skipped: give the folder of an environment with vllm, as in --vllm-env ~/vllm-env")
        return {}
    if not vllm_env.is_dir():
        print(f"server part skipped: --vllm-env {vllm_env} is not a folder; create it and install vllm there")
        return {}
    return server_figures(vllm_env=vllm_env, quick=quick, llm_model=llm_model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("map", "server"), help="one part (default: both)")
    parser.add_argument("--model", default="olmv-mini")
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=3000, help="of the clips; 1 and 9 were trained on")
    parser.add_argument("--frame-pooling", default="softmax", choices=POOLINGS)
    parser.add_argument("--vllm-env", type=Path, help="an environment with vllm, for the server part")
    parser.add_argument("--llm-model", type=Path, metavar="FOLDER", help="a real language model, for the server part")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_CLIPS} clips, under a minute")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    started = time.perf_counter()
    clips = QUICK_CLIPS if args.quick else args.clips
    figures: dict[str, float] = {}
    if args.only != "server":
        figures |= map_figures(args.model, clips, args.seed, args.frame_pooling)
    if args.only != "map":
        figures |= server_part(args.vllm_env, args.quick, args.llm_model)
    settings = {
        "only": args.only or "both",
        "model": args.model,
        "clips": clips,
        "seed": args.seed,
        "frame_pooling": args.frame_pooling,
        "vllm_env": args.vllm_env.name if args.vllm_env else "none",
        "llm_model": args.llm_model.name if args.llm_model else "random weights",
    }
    report(figures, settings, None, f"labels, {time.perf_counter() - started:.0f} s")
    if args.json is not None:
        count = int(figures.get("labels", clips))  # what the figures rest on
        rows = [Figure(name, value, None, None, count) for name, value in figures.items()]
        write(args.json, rows, settings, seed=args.seed)


if __name__ == "__main__":
    main()
