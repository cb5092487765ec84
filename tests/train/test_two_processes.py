"""Training in two processes: the same weights in both, and each clip seen once an epoch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from olmv.models.registry import load_model
from tests.train.runs import settings


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bce", "cross-entropy", "new"])
def test_two_processes(kind: str, tiny: str, tmp_path: Path) -> None:
    special = {
        "bce": ["objective.caption_weight=1", "regularization.iwr=0.5", "optimizer.accumulate=2"],
        "cross-entropy": ["objective.label=cross-entropy", "model.temporal=divided"],
        "new": ["model.temporal=transformer", "model.train=new", f"data.feature_cache={tmp_path / 'features'}"],
    }[kind]
    source = "{moji: {seed: 2, clips: 4, objects: 'seen[:3]', labels: [objects, motions], counts: [1]}}"
    config = settings(
        tiny, *special, "optimizer.batch_size=2", "run.checkpoint_minutes=0", f"data.validation.seen={source}",
        *(() if kind == "new" else ("sweep.ratios=[0, 1]",)),
    )  # fmt: skip
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(config.to_dict()))
    spy = tmp_path / "spy.py"
    spy.write_text(SPY)
    # what `accelerate launch` starts for several GPUs; for CPUs it wants MPI
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    repo = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [*launch, str(spy), "train", str(path), "-o", str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": str(repo), "SPY": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    seen = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)]
    assert seen[0]["weights"] == seen[1]["weights"]
    for epoch in range(2):
        mine, theirs = (set(s["order"][epoch]) for s in seen)
        assert len(mine) == len(theirs) == 6
        assert mine | theirs == set(range(12))
    assert done.stderr.count("training on cpu") == 1
    assert load_model(tmp_path / "run" / "model", device="cpu").embed_dim == 16


SPY = """
import hashlib, json, os, sys
from pathlib import Path
import olmv
from olmv.cli import main
from olmv.train import trainer
orders = []
real_order = trainer.epoch_order
trainer.epoch_order = lambda *a, **k: orders.append(real_order(*a, **k)) or orders[-1]
real_run = trainer.Trainer.run
def run(self):
    real_run(self)
    digest = hashlib.sha256()
    for name, weight in sorted(self.weights.items()):
        digest.update(name.encode() + weight.detach().numpy().tobytes())
    path = Path(os.environ["SPY"]) / f"rank{self.accelerator.process_index}.json"
    path.write_text(json.dumps({"weights": digest.hexdigest(), "order": orders}))
trainer.Trainer.run = run
sys.exit(main())
"""
