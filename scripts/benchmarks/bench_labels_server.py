"""How fast an attribute book is written: the real vLLM server against one label at a time and the offline engine.

With a tiny Llama of random weights (`tiny_llama.py`) what is measured is everything around the model: prompts,
requests, scheduling, constrained decoding, the gate, the durable rows. Every arm runs `describe_labels` whole, on the
same labels, greedily (so the answers are the same but for rounding) and without asking again.

With a real model (`--llm-model`) answers are drawn as `olmv describe-labels` draws them, in float32, so arms differ in
length: times are compared by answer token. One at a time only the first few labels are asked for, and one more arm
asks again as the product does.

Figures:
    server_speedup       seconds an answer token one at a time / with requests side by side
    server_over_engine   seconds an answer token through the server / in the offline engine (loading left out)
    server_seconds, engine_seconds, sequential_seconds (of `labels_one_by_one` labels)
    server_tokens, engine_tokens, prompt_tokens, server_tokens_per_second
    passed_at_first      share of the attributes in first answers that pass the gate
    filled_at_first      share of the attributes asked for that are in the book after one answer a label
    filled_after_retries, retries_seconds, retries_answers   with the product's retries; of a real model only
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
from dataclasses import asdict, dataclass, replace
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
# as many as the offline engine takes at once
CONCURRENCY = 256
ATTRIBUTES = 8
MODEL = "olmv-mini"
"""Reads the attributes: they must fit it."""
RETRIES = 3
# so many tokens a step that no prompt is split: of a split one with a seed, vLLM on a CPU dies
ENGINE_OPTIONS = {"max_model_len": "4096", "max_num_batched_tokens": "32768", "enforce_eager": "true"}
UP_S = 180


@dataclass(frozen=True)
class Workload:
    """What is asked of which model.

    Args:
        labels: asked for side by side.
        one_by_one: of these, asked for one at a time.
        temperature: 0 takes the most probable token.
        runs: of every arm but the one by one; the quickest counts.
        threads: of the model.
        cache_gb: for what the model keeps of prompts and answers.
        dtype: of the weights.
        prompt: how the model is asked.
    """

    labels: int
    one_by_one: int
    temperature: float
    runs: int
    threads: int
    cache_gb: int
    dtype: str
    prompt: str = "objects"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that vLLM runs with."""
        quiet = {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
        quiet |= {"VLLM_CPU_KVCACHE_SPACE": str(self.cache_gb), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        return {**os.environ, **quiet, "OMP_NUM_THREADS": str(self.threads), "PYTHONPATH": str(REPO)}


# one thread: those of so small a model would mostly wait for each other, and take cores from the server's other half
RANDOM = Workload(labels=500, one_by_one=500, temperature=0, runs=3, threads=1, cache_gb=1, dtype="auto")
QUICK_RANDOM = Workload(labels=60, one_by_one=20, temperature=0, runs=3, threads=1, cache_gb=1, dtype="auto")
# a core is left to the rest of the server: a thread that waits for its turn holds up all others of the model
THREADS = max(1, len(os.sched_getaffinity(0)) - 1)
REAL = Workload(
    labels=100, one_by_one=8, temperature=0.7, runs=1, threads=THREADS, cache_gb=4, dtype="float32", prompt="short"
)
QUICK_REAL = replace(REAL, labels=4, one_by_one=1, cache_gb=1)


@dataclass(frozen=True)
class Arm:
    """One way to write the book.

    Args:
        spec: of the language model.
        labels: to describe.
        concurrency: labels asked for at once.
        temperature: of the drawing.
        retries: how many times more a label is asked for.
        runs: the quickest counts.
        prompt: how the model is asked.
    """

    spec: str
    labels: Sequence[str]
    concurrency: int
    temperature: float
    retries: int
    runs: int
    prompt: str


@dataclass(frozen=True)
class Measurement:
    """What an arm took, and what it wrote."""

    seconds: float
    prompt_tokens: int
    answer_tokens: int
    answers: int
    attributes: int
    first_candidates: int
    first_accepted: int

    @property
    def seconds_a_token(self) -> float:
        """Of the answers."""
        return self.seconds / max(1, self.answer_tokens)


def measure(arm: Arm, options: dict[str, str] | None = None) -> Measurement:
    """The quickest run of `describe_labels`.

    The model is asked one question first: loading, compiling and the shared beginning of the prompts are not counted.
    """
    from olmv.describe.book import describe_labels
    from olmv.describe.checks import ListChecks
    from olmv.describe.questions import answer_tokens
    from olmv.labels.label import Label
    from olmv.labels.vocabulary import Vocabulary
    from olmv.llm.open import open_chat
    from olmv.llm.prompts import load_prompt
    from olmv.llm.types import Generation
    from olmv.models.registry import text_limit
    from olmv.progress import JobListener

    vocabulary, prompt, limit = Vocabulary.from_names(arm.labels), load_prompt(arm.prompt), text_limit(MODEL)
    checks = ListChecks(vocabulary, model=MODEL, templates=None, device="cpu", listener=JobListener())
    questions = checks.questions(prompt, count=ATTRIBUTES, domain=None, labels_per_prompt=1)
    # the towers of the gate are loaded by the first text
    checks.gate_for_answers(prompt, limit=limit, book={}).accept(next(iter(vocabulary)), ["a thing on a table"])
    generation = Generation(temperature=arm.temperature, max_tokens=answer_tokens(ATTRIBUTES))
    measurements = []
    with closing(open_chat(arm.spec, concurrency=arm.concurrency, options=options)) as chat:
        warm_up = [questions.conversation([Label("warming up")])]
        list(chat.complete(warm_up, schema=questions.schema, generation=generation))
        for _ in range(arm.runs):
            with tempfile.TemporaryDirectory() as folder:
                summary = describe_labels(
                    vocabulary,
                    Path(folder) / "book.json",
                    chat=chat,
                    questions=questions,
                    gate=checks.gate_for_answers(prompt, limit=limit, book={}),
                    generation=generation,
                    retries=arm.retries,
                )
            if summary.answers < len(vocabulary):
                raise SystemExit(
                    f"{arm.spec}: {summary.answers} answers for {len(vocabulary)} labels: {summary.stopped}"
                )
            measurements.append(
                Measurement(
                    seconds=summary.seconds,
                    prompt_tokens=summary.prompt_tokens,
                    answer_tokens=summary.completion_tokens,
                    answers=summary.answers,
                    attributes=summary.attributes,
                    first_candidates=summary.counts.first_candidates,
                    first_accepted=summary.counts.first_accepted,
                )
            )
    return min(measurements, key=lambda measurement: measurement.seconds)


@contextmanager
def server(python: Path, model: Path, workload: Workload) -> Iterator[str]:
    """vLLM's own server on 127.0.0.1; what to call its model."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--model", str(model), "--served-model-name", "small", "--dtype", workload.dtype, "--enforce-eager"]
    command += ["--max-model-len", ENGINE_OPTIONS["max_model_len"]]
    command += ["--max-num-batched-tokens", ENGINE_OPTIONS["max_num_batched_tokens"]]
    command += ["--no-enable-log-requests", "--disable-uvicorn-access-log"]
    command += ["--structured-outputs-config", json.dumps({"backend": "xgrammar", "disable_any_whitespace": True})]
    with tempfile.TemporaryFile() as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, env=workload.environment, start_new_session=True)
        try:
            begun = time.monotonic()
            while not healthy(port):
                if running.poll() is not None or time.monotonic() - begun > UP_S:
                    log.seek(0)
                    raise SystemExit(f"the server did not come up:\n{log.read().decode(errors='replace')[-3000:]}")
                time.sleep(0.2)
            print(f"server up in {time.monotonic() - begun:.1f} s")
            yield f"openai:small@http://127.0.0.1:{port}/v1"
        finally:
            os.killpg(running.pid, signal.SIGTERM)  # its own session: only what it started
            try:
                running.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()


def healthy(port: int) -> bool:
    """Whether the server is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as response:
            return int(response.status) == 200
    except OSError:
        return False


def measure_engine(python: Path, arm: Arm, workload: Workload) -> Measurement:
    """`measure` on the offline engine, in the environment that has it."""
    task = {"arm": asdict(arm), "options": {**ENGINE_OPTIONS, "dtype": workload.dtype}}
    command = [str(python), str(Path(__file__).resolve()), "--inside"]
    done = subprocess.run(
        command, input=json.dumps(task), capture_output=True, text=True, env=workload.environment, check=False
    )
    if done.returncode:
        raise SystemExit(f"the offline engine failed:\n{done.stderr[-3000:]}")
    return Measurement(**json.loads(done.stdout.splitlines()[-1]))


def server_figures(*, vllm_env: Path, quick: bool, llm_model: Path | None = None) -> dict[str, float]:
    """All figures.

    Args:
        vllm_env: an environment with vllm in which the light dependencies of olmv are installed.
        quick: a handful of labels.
        llm_model: the folder of a real language model; None for the tiny one of random weights.
    """
    python = vllm_env / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"there is no {python}; make it with scripts/test_vllm")
    if llm_model is not None:
        return _figures(python, llm_model, QUICK_REAL if quick else REAL, retries=RETRIES)
    from scripts.research.tiny_llama import build

    with tempfile.TemporaryDirectory() as folder:
        return _figures(python, build(folder), QUICK_RANDOM if quick else RANDOM, retries=0)


def _figures(python: Path, model: Path, workload: Workload, *, retries: int) -> dict[str, float]:
    from olmv.moji.world import object_names

    names = object_names("seen")[: workload.labels]
    few = names[: workload.one_by_one]
    asked = len(names) * ATTRIBUTES
    figures: dict[str, float] = {}
    with server(python, model, workload) as spec:
        arm = Arm(spec, names, CONCURRENCY, workload.temperature, 0, workload.runs, workload.prompt)
        together = measure(arm)
        apart = measure(replace(arm, labels=few, concurrency=1, runs=1))
        if retries:
            again = measure(replace(arm, retries=retries))
            figures["filled_after_retries"] = again.attributes / asked
            figures["retries_seconds"] = again.seconds
            figures["retries_answers"] = again.answers
    engine = measure_engine(python, replace(arm, spec=f"vllm:{model}"), workload)
    return {
        "server_speedup": apart.seconds_a_token / together.seconds_a_token,
        "server_over_engine": together.seconds_a_token / engine.seconds_a_token,
        "server_seconds": together.seconds,
        "engine_seconds": engine.seconds,
        "sequential_seconds": apart.seconds,
        "labels": len(names),
        "labels_one_by_one": len(few),
        "prompt_tokens": together.prompt_tokens,
        "server_tokens": together.answer_tokens,
        "engine_tokens": engine.answer_tokens,
        "server_tokens_per_second": together.answer_tokens / together.seconds,
        "passed_at_first": together.first_accepted / max(1, together.first_candidates),
        "filled_at_first": together.attributes / asked,
        **figures,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inside", action="store_true", help="run one arm here; described by standard input")
    if not parser.parse_args().inside:
        parser.error("run scripts/benchmarks/bench_labels.py --only server")
    task = json.load(sys.stdin)
    print(json.dumps(asdict(measure(Arm(**task["arm"]), task["options"]))))
