"""Measure `olmv serve` under load, on this machine, with the model that ships.

    python -m scripts.benchmarks.bench_serve FOLDER [--quick] [--json docs/results/bench_serve.json]

FOLDER keeps the drawn clips from one run to the next: 10 s each, from 320x240 to 1280x720.

ideal      what `Classifier.predict` makes of the same clips in one call, decoding beside encoding: clips a second. With
           C clients that each wait for an answer before they ask again, the ideal wait of a client is C over that.
load       C clients send clips as files over HTTP; waits, errors, and the memory of all the server
           processes, but for what it keeps of clips on purpose (embeddings and pictures, up to a limit)
bad        the same with files between that are none, or broken
relabel    a clip that the server knows, asked 1,000 labels: words that it met before, and new ones
page       seconds to the first paint of the page in a headless browser, cold

Clients run in a process of their own, on the same machine.
"""

import argparse
import asyncio
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from olmv import Classifier
from scripts.benchmarks.predict_corpus import Parts, make_corpus
from scripts.benchmarks.results import Figure, show, write

CLIPS: Parts = {
    "small": (12, 320, 240, 10, 250),
    "medium": (8, 640, 480, 10, 100),
    "large": (4, 1280, 720, 10, 25),
}
LABELS = ["dog", "guitar", "rain", "a person", "a car", "a cat", "snow", "a beach"]
MODEL = "olmv-lite"
CLIENTS = 50


@contextmanager
def served(*options: str) -> Iterator[tuple[str, psutil.Process]]:
    """Run the command; give its address and its process."""
    command = [sys.executable, "-m", "olmv", "serve", "--port", "0", "--model", MODEL, "--labels", ", ".join(LABELS)]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip().rstrip("/"), psutil.Process(process.pid)
        finally:
            process.terminate()


def memory_mb(root: psutil.Process) -> float:
    """Return the memory of a process and all below it, shared pages counted once."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of values is not above."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


async def load(
    url: str, files: Sequence[tuple[str, bytes]], *, clients: int, requests: int, root: psutil.Process
) -> dict[str, Any]:
    """Let clients send files, each after the answer to the one before.

    Returns:
        waits in seconds of those that were answered with rows; what was refused; memory on the way; what was told of
        each file.
    """
    waits: list[float] = []
    refused: list[str] = []
    memory: list[float] = []
    rows: dict[str, set[str]] = {}
    order = iter(range(requests))

    async def client(http: httpx.AsyncClient) -> None:
        for number in order:
            name, content = files[number % len(files)]
            begun = time.perf_counter()
            answer = await http.post("/v1/predict", files={"files": (name, content)})
            wait = time.perf_counter() - begun
            if answer.status_code != 200:
                refused.append(f"{answer.status_code} {answer.text[:100]}")
                continue
            row = answer.json()["predictions"][0]
            told = [round(label["probability"], 5) for label in row["labels"]] or row["error"]["type"]
            rows.setdefault(name, set()).add(str(told))
            if row["status"] == "ok":
                waits.append(wait)
            if number % 50 == 0:
                figures = (await http.get("/metrics")).text
                kept = re.search(r"^olmv_clips_bytes ([\d.e+]+)", figures, re.MULTILINE)
                memory.append(await asyncio.to_thread(memory_mb, root) - float(kept[1] if kept else 0) / 2**20)

    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    begun = time.perf_counter()
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits) as http:
        await asyncio.gather(*(client(http) for _ in range(clients)))
    seconds = time.perf_counter() - begun
    return {"waits": waits, "refused": refused, "memory": memory, "rows": rows, "seconds": seconds}


def bad_files(good: Sequence[tuple[str, bytes]], count: int) -> list[tuple[str, bytes]]:
    """Make files that are none, or broken."""
    rng = random.Random(0)
    kinds: list[Callable[[bytes], bytes]] = [
        lambda content: b"",
        lambda content: b"no video at all\n" * 50,
        lambda content: content[: len(content) // 3],
        lambda content: content[:200] + rng.randbytes(20_000),
        lambda content: rng.randbytes(100_000),
        lambda content: b"PK\x03\x04" + bytes(200_000),
        lambda content: b"RIFF" + rng.randbytes(5000),
    ]
    return [(f"bad{number}", kinds[number % len(kinds)](good[number % len(good)][1])) for number in range(count)]


def ideal(files: Sequence[Path]) -> float:
    """Return clips a second of one call, the better of two after one to warm up."""
    with Classifier.from_pretrained(MODEL) as classifier:
        speeds = []
        for _ in range(3):
            begun = time.perf_counter()
            list(classifier.predict(files, LABELS, thumbnails=True))
            speeds.append(len(files) / (time.perf_counter() - begun))
    return max(speeds[1:])


def relabel(url: str, clip: str, *, calls: int) -> dict[str, float]:
    """Ask a clip that is known 1,000 labels, again and again."""
    words = [f"{size} {thing}" for size in range(100) for thing in ("dogs", "cars", "trees", "cups", "hats", "bags")]
    known = [*words, *(f"a photo of {number}" for number in range(400))]
    figures = {}
    with httpx.Client(base_url=url, timeout=300) as http:

        def ask(labels: list[str]) -> float:
            begun = time.perf_counter()
            http.post("/v1/predict", json={"clips": [clip], "labels": labels, "pictures": True}).raise_for_status()
            return time.perf_counter() - begun

        figures["relabel/first_s"] = ask([f"{label} {time.time_ns()}" for label in known])
        figures["relabel/first_known_s"] = ask(known)
        waits = [ask([*known[:999], f"new {number} {time.time_ns()}"]) for number in range(calls)]
        figures["relabel/one_new_p95_s"] = quantile(waits, 0.95)
        figures["relabel/p95_s"] = quantile([ask(known) for _ in range(calls)], 0.95)
    return figures


def first_paint(url: str) -> dict[str, float]:
    """Return seconds to the first paint of the page, the median of cold visits."""
    from playwright.sync_api import sync_playwright

    from tests.support.browser import chromium

    program = chromium()
    if program is None:
        print("no chromium: the page is not measured; apt-get install chromium", file=sys.stderr)
        return {}
    paints = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for _ in range(5):
            page = browser.new_context().new_page()
            page.goto(url, wait_until="load")
            page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
            paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000)
            page.context.close()
        browser.close()
    return {"page/first_paint_s": statistics.median(paints)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests: to see that it runs")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    requests, clients = (200, 10) if arguments.quick else (2000, CLIENTS)
    corpus = make_corpus(arguments.folder, CLIPS)
    paths = [Path(path) for part in corpus.values() for path in part]
    random.Random(0).shuffle(paths)
    files = [(f"{path.parent.name}-{path.name}", path.read_bytes()) for path in paths]
    figures: dict[str, float] = {"clips": len(files), "clients": clients}
    figures["ideal/clips_s"] = ideal(paths * 4)
    with served("--queue", str(max(64, clients))) as (url, root):
        figures |= first_paint(url)
        asyncio.run(load(url, files, clients=clients, requests=len(files) * 2, root=root))  # warm
        figures |= _loaded("load", url, files, requests, clients, root, figures["ideal/clips_s"])
        count = max(requests // 10, 20)
        mixed = [*files * (-(-3 * count // len(files))), *bad_files(files, count)]
        random.Random(1).shuffle(mixed)
        figures |= _loaded("bad", url, mixed, len(mixed), clients, root, figures["ideal/clips_s"])
        clip = httpx.post(f"{url}/v1/predict", files={"files": files[0]}, timeout=60).json()["predictions"][0]["clip"]
        figures |= relabel(url, clip, calls=20 if arguments.quick else 100)
    rows = [Figure(name, value, None, None, requests) for name, value in figures.items()]
    show(rows, "olmv serve")
    if arguments.json is not None:
        write(arguments.json, rows, {"model": MODEL, "cores": psutil.cpu_count() or 0, "clients": clients})


def _loaded(
    name: str,
    url: str,
    files: Sequence[tuple[str, bytes]],
    requests: int,
    clients: int,
    root: psutil.Process,
    ideal_clips_s: float,
) -> Mapping[str, float]:
    result = asyncio.run(load(url, files, clients=clients, requests=requests, root=root))
    for line in result["refused"][:5]:
        print(f"refused: {line}", file=sys.stderr)
    memory, waits = result["memory"], result["waits"]
    quarter = max(len(memory) // 4, 1)
    expected = clients / ideal_clips_s
    return {
        f"{name}/requests": requests,
        f"{name}/refused": len(result["refused"]),
        f"{name}/clips_s": len(waits) / result["seconds"],
        f"{name}/p50_s": quantile(waits, 0.5),
        f"{name}/p95_s": quantile(waits, 0.95),
        f"{name}/p99_s": quantile(waits, 0.99),
        f"{name}/ideal_s": expected,
        f"{name}/p95_over_ideal": quantile(waits, 0.95) / expected,
        f"{name}/differing_answers": sum(len(told) > 1 for told in result["rows"].values()),
        f"{name}/memory_first_mb": statistics.mean(memory[:quarter]),
        f"{name}/memory_last_mb": statistics.mean(memory[-quarter:]),
    }


if __name__ == "__main__":
    main()
