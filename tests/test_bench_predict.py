"""What `scripts/benchmarks/bench_predict.py` counts is what it says it counts."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

import olmv  # noqa: F401  # before open_clip: see olmv._torchvision_guard
from olmv.video.transforms import Preprocess
from scripts.benchmarks import bench_predict, predict_peers, predict_tables
from scripts.benchmarks.predict_corpus import label_vectors
from scripts.benchmarks.predict_parts import TimedClassifier, decode_only, predict_all
from scripts.benchmarks.predict_processes import naive_command, process_environment, run_command
from scripts.benchmarks.process_tree import peak_memory, worker_seconds
from scripts.benchmarks.results import Figure, read_figures, write
from scripts.benchmarks.turns import costs_in_turns, processor_seconds
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model, write_open_clip_folder

BELOW = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]], check=True)"
BUSY = "import time\nwhile time.process_time() < 0.5: pass"
HOLDS_MEMORY = "held = bytearray(64 * 2**20); import time; time.sleep(1)"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("clips")
    return [str(write_clip(folder / f"{seed}.mp4", seed=seed, size=(320, 240))) for seed in range(3)]


def test_processor_seconds_are_also_those_of_grandchildren() -> None:
    command = [sys.executable, "-c", BELOW, BUSY]
    costs = costs_in_turns({"busy": lambda: subprocess.run(command, check=True), "idle": lambda: None}, 2)
    assert min(costs.processor["busy"]) >= 0.5
    assert min(costs.wall["busy"]) >= 0.5
    assert max(costs.processor["idle"]) < 0.3


def test_workers_are_counted_when_they_have_ended(clips: list[str]) -> None:
    preprocess = Preprocess(size=224)
    costs = costs_in_turns({"start": lambda: decode_only(preprocess, clips[:1])}, 1)
    others = {process.pid for process in psutil.Process().children(recursive=True)}  # of other tests
    before = processor_seconds()
    with worker_seconds(os.getpid(), every_s=0.05) as seconds:
        decode_only(preprocess, clips * 100)
    decoding = processor_seconds() - before - costs.processor["start"][0]
    worked = sum(value for pid, value in seconds.items() if pid not in others)
    assert worked > 0.5
    assert decoding > worked / 2  # the start of two runs is not equally quick


def test_memory_is_that_of_all_processes() -> None:
    peak = peak_memory([sys.executable, "-c", BELOW, BELOW, HOLDS_MEMORY], os.environ)
    assert peak.workers == 1
    assert 64 < peak.worker_pss_mb <= peak.worker_rss_mb
    assert peak.tree_pss_mb > peak.worker_pss_mb


@pytest.mark.parametrize("run", [peak_memory, run_command])
def test_a_command_that_fails_ends_the_benchmark(run: Callable[..., object]) -> None:
    with pytest.raises(SystemExit, match="exit code 3: why"):
        run([sys.executable, "-c", "import sys; print('why', file=sys.stderr); sys.exit(3)"], os.environ)


def test_a_clip_that_cannot_be_read_ends_the_benchmark(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"could not read .*missing\.mp4"):
        predict_all(TimedClassifier(tiny_model()), [str(tmp_path / "missing.mp4")])


def test_the_encoder_is_timed(clips: list[str]) -> None:
    classifier = TimedClassifier(tiny_model())
    predict_all(classifier, clips)
    assert classifier.first is not None
    assert classifier.encoding_s > 0


def test_peers_agree(clips: list[str], tmp_path: Path) -> None:
    import open_clip

    folder = write_open_clip_folder(tmp_path / "model")
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model.eval()
    texts = label_vectors(model.visual.output_dim)
    naive = predict_peers.naive(model, preprocess, texts)(clips)
    batches = predict_peers.batched(model, predict_peers.read_decord, texts, torch.float32)(clips)
    assert len(naive) == len(batches) == len(clips)
    for one, other in zip(naive, batches, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=0.02)


@pytest.mark.slow
def test_the_naive_script_writes_a_row_a_clip(clips: list[str], tmp_path: Path) -> None:
    folder, rows = write_open_clip_folder(tmp_path / "model"), tmp_path / "rows.jsonl"
    run_command(naive_command(clips, folder, rows), process_environment())
    likely = [json.loads(line)["labels"] for line in rows.read_text(encoding="utf-8").splitlines()]
    assert [sum(labels.values()) for labels in likely] == pytest.approx([1.0] * 3, abs=1e-4)


def test_a_file_keeps_what_is_not_measured_anew(tmp_path: Path) -> None:
    figures = [Figure("calls/a", 1.5, None, None, 3), Figure("memory/b", 2.0, 1.0, 3.0, 4)]
    assert read_figures(tmp_path / "none.json") == ([], {})
    write(tmp_path / "some.json", figures, {"calls": {"rounds": 3}})
    assert read_figures(tmp_path / "some.json") == (figures, {"calls": {"rounds": 3}})


def test_only_names_parts() -> None:
    assert bench_predict.sections("memory, parts") == ["parts", "memory"]
    with pytest.raises(argparse.ArgumentTypeError, match="no part is called 'speed'; choose from processes, parts"):
        bench_predict.sections("speed")


def test_tables_leave_empty_what_was_not_measured() -> None:
    names = [f"parts/{part}/olmv/seconds_a_video" for part in predict_tables.PARTS]
    data = {"figures": dict.fromkeys(names, 0.5), "n": dict.fromkeys(names, 7)}
    first, _, *rows = predict_tables.parts_table(data).splitlines()
    assert [row.count("0.50") for row in rows] == [1, 1, 1]
    assert {row.count("|") for row in (first, *rows)} == {first.count("|")}
