"""How fast an attribute book is written: the real vLLM server against one label at a time and the offline engine.

A tiny Llama with random weights (`tiny_llama.py`) answers; what is measured is everything around the model: prompts,
requests, scheduling, constrained decoding, the gate, the durable rows. Every arm runs `describe_labels` whole, on
the same labels, greedily (so the answers are the same but for rounding) and without asking again.

Figures:
    server_speedup       seconds a label one at a time / seconds a label with requests side by side
    server_over_engine   seconds through the server / seconds of the offline engine (loading left out), same labels
    server_seconds, engine_seconds, sequential_seconds, server_tokens, engine_tokens
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
LABELS, LABELS_ONE_BY_ONE = 500, 500
QUICK_LABELS, QUICK_ONE_BY_ONE = 60, 20
# as many as the offline engine takes at once
CONCURRENCY = 256
ATTRIBUTES = 8
ENGINE_OPTIONS = {"max_model_len": "4096", "enforce_eager": "true"}
UP_S = 180
RUNS = 3


def timed_run(
    spec: str, labels: Sequence[str], *, concurrency: int, options: dict[str, str] | None = None
) -> list[float]:
    """The best of some runs of `describe_labels`: seconds, prompt tokens, answer tokens, labels asked.

    The model is asked one question first: loading, compiling and the shared beginning of the prompts are not counted.
    """
    from olmv.describe.book import describe_labels
    from olmv.describe.questions import Questions
    from olmv.labels.label import Label
    from olmv.labels.quality import Gate
    from olmv.labels.vocabulary import Vocabulary
    from olmv.llm.open import open_chat
    from olmv.llm.prompts import load_prompt
    from olmv.llm.types import Generation

    vocabulary = Vocabulary.from_names(labels)
    questions = Questions(load_prompt("objects"), count=ATTRIBUTES)
    generation = Generation(temperature=0, max_tokens=40 * ATTRIBUTES + 64)
    found: list[list[float]] = []
    with closing(open_chat(spec, concurrency=concurrency, options=options)) as chat:
        list(
            chat.complete([questions.conversation(Label("warming up"))], schema=questions.schema, generation=generation)
        )
        for _ in range(1 if concurrency == 1 else RUNS):
            with tempfile.TemporaryDirectory() as folder:
                summary = describe_labels(
                    vocabulary,
                    Path(folder) / "book.json",
                    chat=chat,
                    questions=questions,
                    gate=Gate(vocabulary, templates=("{}",)),
                    generation=generation,
                    retries=0,
                )
            if summary.answers != len(vocabulary):
                raise SystemExit(f"{spec}: {summary.answers} answers for {len(vocabulary)} labels: {summary.stopped}")
            found.append([summary.seconds, summary.prompt_tokens, summary.completion_tokens, summary.answers])
    return min(found)


@contextmanager
def server(python: Path, model: Path) -> Iterator[str]:
    """vLLM's own server on 127.0.0.1; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(python),
        "-m",
        "vllm.entrypoints.openai.api_server",
        "--model",
        str(model),
        "--served-model-name",
        "tiny",
    ]
    command += ["--host", "127.0.0.1", "--port", str(port), "--max-model-len", ENGINE_OPTIONS["max_model_len"]]
    command += ["--enforce-eager", "--no-enable-log-requests", "--disable-uvicorn-access-log"]
    structured = {"backend": "xgrammar", "disable_any_whitespace": True}
    command += ["--structured-outputs-config", json.dumps(structured)]
    log = model / "server.log"
    with log.open("wb") as written:
        running = subprocess.Popen(command, stdout=written, stderr=written, env=environment(), start_new_session=True)
    try:
        begun = time.monotonic()
        while not healthy(port):
            if running.poll() is not None or time.monotonic() - begun > UP_S:
                raise SystemExit(f"the server did not come up:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)
        print(f"server up in {time.monotonic() - begun:.1f} s")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(running.pid, signal.SIGTERM)  # its own session: only what it started
        try:
            running.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as response:
            return int(response.status) == 200
    except OSError:
        return False


def environment() -> dict[str, str]:
    quiet = {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    # the threads of so small a model would mostly wait for each other, and take the cores from the server's other half
    quiet |= {"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    return {**os.environ, **quiet, "PYTHONPATH": str(REPO), "HF_HUB_OFFLINE": "1"}


def engine_run(python: Path, model: Path, labels: Sequence[str]) -> list[float]:
    """`timed_run` on the offline engine, in the environment that has it."""
    told = {"spec": f"vllm:{model}", "labels": list(labels), "options": ENGINE_OPTIONS}
    command = [str(python), str(Path(__file__).resolve()), "--inside"]
    done = subprocess.run(command, input=json.dumps(told), capture_output=True, text=True, env=environment())
    if done.returncode:
        raise SystemExit(f"the offline engine failed:\n{done.stderr[-3000:]}")
    numbers: list[float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def server_figures(*, vllm_env: Path, quick: bool) -> dict[str, float]:
    """All figures; `vllm_env` is an environment with vllm in which the light dependencies of olmv are installed."""
    from olmv.moji.world import object_names
    from scripts.research.tiny_llama import build

    python = vllm_env / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"there is no {python}; make it with scripts/test_vllm")
    names = object_names("seen")[: QUICK_LABELS if quick else LABELS]
    few = names[: QUICK_ONE_BY_ONE if quick else LABELS_ONE_BY_ONE]
    with tempfile.TemporaryDirectory() as folder:
        model = build(folder)
        with server(python, model) as url:
            spec = f"openai:tiny@{url}"
            side_by_side = timed_run(spec, names, concurrency=CONCURRENCY)
            one_by_one = timed_run(spec, few, concurrency=1)
        engine = engine_run(python, model, names)
    return {
        "server_speedup": (one_by_one[0] / len(few)) / (side_by_side[0] / len(names)),
        "server_over_engine": side_by_side[0] / engine[0],
        "server_seconds": side_by_side[0],
        "engine_seconds": engine[0],
        "sequential_seconds": one_by_one[0],
        "labels": len(names),
        "labels_one_by_one": len(few),
        "prompt_tokens": side_by_side[1],
        "server_tokens": side_by_side[2],
        "engine_tokens": engine[2],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inside", action="store_true", help="run one arm here; told by standard input")
    if not parser.parse_args().inside:
        parser.error("run scripts/benchmarks/bench_labels.py --only server")
    asked = json.load(sys.stdin)
    print(json.dumps(timed_run(asked["spec"], asked["labels"], concurrency=CONCURRENCY, options=asked["options"])))
