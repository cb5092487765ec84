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

KINDS: dict[str, list[str]] = {
    "bce": ["objective.caption_weight=1", "regularization.iwr=0.5", "optimizer.accumulate=2", "sweep.ratios=[0, 1]"],
    "cross-entropy": ["objective.label=cross-entropy", "model.temporal=divided", "sweep.ratios=[0, 1]"],
    "new": ["model.temporal=transformer", "model.train=new", "data.feature_cache=features"],
}


@pytest.mark.slow
def test_two_processes(tiny: str, tmp_path: Path) -> None:
    """Of each kind a run, one after another in the same two processes: most of what this takes is to start them."""
    source = "{moji: {seed: 2, clips: 4, objects: 'seen[:3]', labels: [objects, motions], counts: [1]}}"
    for kind, special in KINDS.items():
        config = settings(
            tiny, *special, "optimizer.batch_size=2", "run.checkpoint_minutes=0", f"data.validation.seen={source}"
        )
        (tmp_path / f"{kind}.yaml").write_text(yaml.safe_dump(config.to_dict()))
    (tmp_path / "spy.py").write_text(SPY)
    # what `accelerate launch` starts for several GPUs; for CPUs it wants MPI
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    repo = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [*launch, "spy.py", *KINDS],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(repo), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("training on cpu") == len(KINDS)
    for kind in KINDS:
        seen = [json.loads((tmp_path / f"{kind}.rank{rank}.json").read_text()) for rank in range(2)]
        assert seen[0]["weights"] == seen[1]["weights"], kind
        assert len(seen[0]["order"]) == 2
        for epoch in range(2):
            mine, theirs = (set(s["order"][epoch]) for s in seen)
            assert len(mine) == len(theirs) == 6, kind
            assert mine | theirs == set(range(12)), kind
        assert load_model(tmp_path / kind / "model", device="cpu").embed_dim == 16


SPY = """
import hashlib, json, sys
from pathlib import Path
import olmv
from olmv.cli import main
from olmv.train import trainer
real_order = trainer.epoch_order
trainer.epoch_order = lambda *a, **k: orders.append(real_order(*a, **k)) or orders[-1]
real_run = trainer.Trainer.run
def run(self):
    real_run(self)
    digest = hashlib.sha256()
    for name, weight in sorted(self.weights.items()):
        digest.update(name.encode() + weight.detach().numpy().tobytes())
    path = Path(f"{kind}.rank{self.accelerator.process_index}.json")
    path.write_text(json.dumps({"weights": digest.hexdigest(), "order": orders}))
trainer.Trainer.run = run
for kind in sys.argv[1:]:
    orders = []
    if code := main(["train", f"{kind}.yaml", "-o", kind]):
        sys.exit(code)
"""
