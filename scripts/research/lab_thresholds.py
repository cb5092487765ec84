"""The arms of `lab.py` that decide."""

import numpy as np

from olmv.calibrate.crossfit import cross_fit
from olmv.calibrate.fitting import fit_all
from olmv.calibrate.objectives import Objective
from olmv.metrics.decisions import decision_figures
from olmv.models.registry import load_video_clip
from olmv.moji.render import Renderer
from olmv.moji.world import MOTIONS, object_names, sample_scene, scene_labels
from olmv.scoring.pooling import score
from olmv.scoring.probabilities import to_logits
from scripts.benchmarks.eval_mini import bank_of, embed, truth_of
from scripts.research.lab_common import Lab

__all__ = ["thresholds"]


def thresholds(lab: Lab, seed: int) -> dict[str, float]:
    """(e) One threshold of 0.5 for all labels, or one a label for its F1, fitted to the other half of the clips."""
    model = load_video_clip("olmv-mini", dtype="float32")
    names = [*object_names("seen")[::8], *scene_labels(), *MOTIONS]
    drawn = object_names("seen")[::8]
    scenes = [sample_scene(5000 + seed, i, names=drawn, pairings="all") for i in range(lab.count(800, 64))]
    similarity = score(embed(model, scenes, Renderer(64)), None, bank_of(model, names), frame_pooling="softmax")
    logits = to_logits(similarity, scale=model.logit_scale, bias=model.logit_bias)
    probability, truth = logits.sigmoid().double().numpy(), truth_of(scenes, names).bool().numpy()
    half = np.arange(len(scenes)) % 2
    fitted = cross_fit(
        probability, truth, half, lambda p, t: fit_all(p, t, Objective.parse("f1"), min_support=1).threshold
    )
    return {
        "one threshold/macro_f1": decision_figures(probability >= 0.5, truth).macro_f1,
        "per label/macro_f1": decision_figures(probability >= fitted, truth).macro_f1,
    }
