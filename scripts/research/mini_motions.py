"""The motion stage of `train_mini.py`: words for motions, then `olmv train configs/moji_motions.yaml`, twice."""

import shutil
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from olmv.models.clip.model import VideoCLIP
from olmv.models.mini.towers import MiniTowers
from olmv.models.registry import load_video_clip
from olmv.models.storage.saving import save_pretrained
from olmv.moji.world import MOTIONS
from olmv.progress import JobListener

# on other clips, with fewer frames now and then, at a lower rate, and the mean of the epochs: seen objects, which the
# first run knows a little too well on its own clips, come back, and any number of frames will do
SECOND = (
    "model.temporal=null", "model.temporal_options={}", "data.train.moji.seed=2", "data.train.moji.clips=7000",
    "data.validation.seen.moji.clips=200", "data.vary_frames=true", "optimizer.lr=6e-4", "optimizer.epochs=8",
    "optimizer.warmup_epochs=0", "regularization.swa_start=0",
)  # fmt: skip
CONFIG = Path(__file__).parents[2] / "configs" / "moji_motions.yaml"


def motion_vectors(stills: VideoCLIP) -> Tensor:
    """Vectors [14, D] for the motions' rows of the text tower's memory, at right angles to each other.

    A sentence encoder puts "moving left" and "moving right" almost into one place (cosine 0.9); pictures of them
    must be told apart. The rows are an orthogonal set near the words' own vectors, so that each word still finds its
    own row; shorter than the objects' rows, so that other words are not drawn to them.
    """
    assert isinstance(stills.towers, MiniTowers)
    tower = stills.towers.textual
    memory = tower.memory
    tower.memory = memory[:0]
    words = F.normalize(stills.encode_texts(MOTIONS), dim=-1)
    tower.memory = memory
    left, _, right = torch.linalg.svd(words, full_matrices=False)
    rows: Tensor = 0.75 * left @ right
    return rows


def with_motion_words(source: Path, target: Path) -> None:
    """The model in `source` with motions in the memory of its text tower; nothing else changes."""
    stills = load_video_clip(source, device="cpu", dtype="float32", temporal="mean")
    towers = stills.towers
    assert isinstance(towers, MiniTowers)
    rows = motion_vectors(stills)
    config = replace(towers.config, memory_size=len(towers.textual.memory) + len(rows))
    made = MiniTowers(config, towers.tokenizer_file)
    state = dict(towers.state_dict())
    state["textual.memory"] = torch.cat([state["textual.memory"], rows])
    made.load_state_dict(state)
    model = VideoCLIP(made, name="olmv-mini", preprocess=stills.preprocess, templates=stills.templates)
    before, after = (m.encode_texts(MOTIONS) for m in (stills, model))
    off = ~torch.eye(len(MOTIONS), dtype=torch.bool)
    print(f"most alike motions: cosine {(before @ before.T)[off].max():.2f}, now {(after @ after.T)[off].max():.2f}")
    shutil.rmtree(target, ignore_errors=True)
    save_pretrained(model, target)


def keep_frames(source: Path, target: Path) -> None:
    """The model in `source`, its frames kept beside what its transformer makes of them; the weights are the same.

    What is added for motions costs objects a little; frames that stay as they are keep them.
    """
    model = load_video_clip(source, device="cpu", dtype="float32")
    options = {**model.temporal_options, "keep": True}
    made = VideoCLIP(
        model.towers, name="olmv-mini", preprocess=model.preprocess, temporal="transformer", temporal_options=options,
        templates=model.templates,
    )  # fmt: skip
    made.load_state_dict(model.state_dict())
    save_pretrained(made, target)


class Plain(JobListener):
    """Prints what a run says."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

    def note(self, text: str) -> None:
        if not self.quiet:
            print(text, flush=True)

    def started(self, *, total: int, done: int) -> None:
        self.note(f"{done} of {total} steps done")

    def advanced(self, done: int, total: int, *, stage: str = "") -> None:
        if stage and not self.quiet and (done % 1600 == 0 or done == total):
            print(f"{stage}: {done} of {total}", flush=True)


def train_motions(work: Path, output: Path) -> None:
    """Stills in `work/stills` -> `work/motions` -> `work/kept` -> `work/second` -> the shipped folder, float16."""
    from olmv.train.config_file import load_config
    from olmv.train.job import TrainJob, run

    base = work / "stills_with_words"
    if not (base / "config.json").exists():
        with_motion_words(work / "stills", base)
    config = load_config(CONFIG, [f"model.name={base}"])
    run(TrainJob(config, work / "motions"), Plain())
    keep_frames(work / "motions" / "model", work / "kept")
    again = load_config(CONFIG, [f"model.name={work / 'kept'}", *SECOND])
    run(TrainJob(again, work / "second"), Plain())
    model = load_video_clip(work / "second" / "model", device="cpu", dtype="float32")
    card = output / "README.md"
    save_pretrained(
        model,
        output,
        card=card.read_text(encoding="utf-8") if card.exists() else None,
        description=config.description,
        dtype=torch.float16,
    )
    print(f"{output}: {sum(f.stat().st_size for f in output.iterdir()) / 1e6:.1f} MB")
