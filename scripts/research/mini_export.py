"""The export stage of `train_mini.py`: one folder from the trained towers."""

from pathlib import Path

import torch
from torch import Tensor

from olmv.models.clip.model import VideoCLIP
from olmv.models.storage.saving import save_pretrained
from olmv.video.transforms import Preprocess
from scripts.research.mini_text import text_towers

DESCRIPTION = "knows emoji-like drawings (the Moji world), not footage; for trying olmv without a download"


def export(work: Path, output: Path) -> None:
    """Write the shipped folder from `work`'s final checkpoints. The card is kept if there is one."""
    vision = torch.load(work / "vision_final.pt", weights_only=True)
    output.mkdir(parents=True, exist_ok=True)
    towers = text_towers(work / "text_final.pt", memory=vision["labels"].float())
    state: dict[str, Tensor] = {
        f"visual.{k.removeprefix('tower.')}": v for k, v in vision["state"].items() if k.startswith("tower.")
    }
    state |= {
        "log_scale": vision["state"]["scalars.log_scale"],
        "logit_bias": vision["state"]["scalars.bias"],
    }
    missing = towers.load_state_dict({k: v.detach().float() for k, v in state.items()}, strict=False)
    if missing.unexpected_keys or any(not k.startswith("textual.") for k in missing.missing_keys):
        raise SystemExit(f"the checkpoints do not fit: {missing}")
    preprocess = Preprocess(
        size=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="bilinear", resize_mode="shortest"
    )
    model = VideoCLIP(towers, name="olmv-mini", preprocess=preprocess, templates="none")
    card = output / "README.md"
    save_pretrained(
        model,
        output,
        card=card.read_text(encoding="utf-8") if card.exists() else None,
        description=DESCRIPTION,
        dtype=torch.float16,
    )
    print(f"{output}: {sum(f.stat().st_size for f in output.iterdir()) / 1e6:.1f} MB")
