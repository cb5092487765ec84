"""Soft attributes trained on what a frozen image tower saw: for `lab_naming.py` and `lab_nouns.py`.

The language model's pass over the names is nearly the whole cost of a step. While the prefixes before a name are not
trained its states do not change and are kept (`Remembered`), so that hundreds of steps cost seconds; training the
prefixes too is a second stage.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from olmv.io.paths import cache_dir
from olmv.metrics.ranked import average_precision
from olmv.models.clip.model import VideoCLIP
from olmv.models.soft_attributes.language_model import LanguageModel, load_language_model
from olmv.models.soft_attributes.module import SoftAttributes
from olmv.train.config import Optimizer
from olmv.train.optimizer import parameter_groups, rate_factor

__all__ = ["Fit", "Remembered", "Task", "fit", "language_models", "make_soft", "shuffled", "trained_arms"]

WORDS = "What does this look like:"  # the prefixes begin as these words
STEPS = 240
NAMES_A_STEP = 16
CHECK_EVERY = 24  # steps
RATE = 3e-3
PREFIX_STEPS, PREFIX_NAMES = 40, 8  # of the second stage, which trains the prefixes too
GATE_RATE = 1e-2
# the gate starts open: from zero, names of 40 trained objects went from mAP 0.36 to no more than 0.38 in 90 steps (0.43
# in 120 at a gate rate of 0.1, the gate at 0.18), from one to 0.59: only then is anything learned that could generalise
GATE_START = 1.0
GATES = (0.05, 0.1, 0.2, 0.4)  # tried after the last step
SMALL_LLM = Path("small-llm") / "SmolLM2-135M-Instruct"  # in the cache; scripts/tools/get_small_llm makes it
LANGUAGE_MODELS = ("SmolLM2", "SmolLM2, random weights", "SmolLM2, names shuffled", "MiniLM")


class Remembered(LanguageModel):
    """A language model that keeps its states of a label behind the same prefixes, unless these are trained.

    Args:
        model, tokenizer, name: as in `LanguageModel`.

    Attributes:
        instead: label -> the label that is read in its place: names that say nothing of what they name.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        super().__init__(model, tokenizer, name)
        self.instead: Mapping[str, str] = {}
        self._states: dict[tuple[bytes, str], Tensor] = {}

    def __call__(self, prefixes: Tensor, labels: Sequence[str]) -> tuple[Tensor, Tensor]:
        read = [self.instead.get(label, label) for label in labels]
        if prefixes.requires_grad:
            return super().__call__(prefixes, read)
        key = prefixes.numpy().tobytes()
        new = sorted(dict.fromkeys(label for label in read if (key, label) not in self._states), key=len)
        for start in range(0, len(new), 16):
            some = new[start : start + 16]
            with torch.no_grad():
                hidden, mask = super().__call__(prefixes, some)
            self._states |= {(key, label): row[real] for label, row, real in zip(some, hidden, mask, strict=True)}
        rows = [self._states[key, label] for label in read]
        lengths = torch.tensor([len(row) for row in rows])
        return pad_sequence(rows, batch_first=True), torch.arange(int(lengths.max())) < lengths[:, None]


@dataclass(frozen=True)
class Task:
    """Pictures of things, and names of these things.

    Attributes:
        pictures: [N, D] unit vectors of a frozen tower.
        things: [N], what each one shows.
        names: trained: name and thing; a thing may have several names.
        often: how many of the first `names` make up half of every step; 0 for all alike.
        held: name and thing, of things that are not trained: they choose rate and step.
    """

    pictures: Tensor
    things: Tensor
    names: tuple[tuple[str, int], ...]
    often: int
    held: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Fit:
    """What came of a training.

    Attributes:
        trained_before, trained: mAP of the trained names as bare names, and after the last step.
        held_before, held: of the held names as bare names, and at the best step.
        step: the best one; 0 where training never helped the held names.
        gate: at the best step; after the last one also others are tried.
        last: state after the last step; the module itself is left as at the best one.
    """

    trained_before: float
    trained: float
    held_before: float
    held: float
    step: int
    gate: float
    last: Mapping[str, Tensor]

    def to_figures(self) -> dict[str, float]:
        return {"trained_map_before": self.trained_before, "trained_map": self.trained,
                "held_map_before": self.held_before, "held_map": self.held, "best_step": self.step,
                "gate": self.gate}  # fmt: skip


@cache
def language_models() -> dict[str, Remembered]:
    """Load SmolLM2, its architecture with random weights, and MiniLM; what is not on this machine is told and missing.

    The same ones serve all seeds, so that their states of a label are computed once.
    """
    found: dict[str, Remembered] = {}
    folder = cache_dir() / SMALL_LLM
    if (folder / "model.safetensors").is_file():
        from transformers import AutoModel

        real = load_language_model(folder)
        torch.manual_seed(0)
        random: Any = AutoModel.from_config(real.model.config)
        found["SmolLM2"] = Remembered(real.model, real.tokenizer, str(folder))
        found["SmolLM2, random weights"] = Remembered(random.float(), real.tokenizer, str(folder))
    else:
        print(f"left out: SmolLM2, expected in {folder}; scripts/tools/get_small_llm makes it")
    from scripts.research.mini_targets import teacher_folder

    try:
        encoder = load_language_model(teacher_folder())
    except SystemExit as missing:
        print(f"left out: {missing}")
    else:
        found["MiniLM"] = Remembered(encoder.model, encoder.tokenizer, encoder.name)
    return found


def make_soft(model: VideoCLIP, language_model: LanguageModel, seed: int) -> SoftAttributes:
    """Soft attributes in their first state, their prefixes the words of a question and not trained."""
    words = language_model.tokenizer(WORDS, add_special_tokens=False)["input_ids"]
    torch.manual_seed(seed)
    soft = SoftAttributes(
        model.towers, language_model, templates=model.templates, n_prefix=len(words), n_query=4, layers=2
    )
    with torch.no_grad():
        soft.prefixes.copy_(language_model.embeddings(torch.tensor(words)))
    soft.prefixes.requires_grad_(False)
    return soft


def shuffled(names: Sequence[str], seed: int) -> dict[str, str]:
    """Give every name another one."""
    some = list(dict.fromkeys(names))
    order = [some[i] for i in np.random.default_rng([seed, 5]).permutation(len(some))]
    return dict(zip(order, [*order[1:], order[0]], strict=True))


def trained_arms(
    model: VideoCLIP, task: Task, names: Sequence[str], seed: int
) -> Iterator[tuple[str, SoftAttributes, Fit]]:
    """Train every language model's arm, SmolLM2's also with shuffled names and, with seed 0, its prefixes.

    Args:
        model: whose text tower reads the soft tokens.
        task: what is trained.
        names: all that are ever asked for, for the shuffling.
        seed: of first weights and order.
    """
    for name, language_model in language_models().items():
        arms: dict[str, Mapping[str, str]] = {name: {}}
        if name == "SmolLM2":
            arms[f"{name}, names shuffled"] = shuffled(names, seed)
        for arm, instead in arms.items():
            language_model.instead = instead
            soft = make_soft(model, language_model, seed)
            found = fit(soft, task, scale=model.logit_scale, seed=seed)
            yield f"soft attributes, {arm}", soft, found
            if arm == "SmolLM2" and seed == 0:
                soft.load_state_dict(dict(found.last))
                how = {"steps": PREFIX_STEPS, "names_a_step": PREFIX_NAMES}
                found = fit(soft, task, scale=model.logit_scale, seed=seed, prefixes=True, **how)
                yield f"soft attributes, {arm}, prefixes trained", soft, found
        language_model.instead = {}


def fit(
    soft: SoftAttributes, task: Task, *, scale: float, seed: int, rate: float = RATE, steps: int = STEPS,
    names_a_step: int = NAMES_A_STEP, prefixes: bool = False,
) -> Fit:  # fmt: skip
    """Train on a task; the module is left in its state of the best step on the held names, bare names included.

    Loss: for every picture of a step's names, the cross-entropy of its name against all other trained names. Those that
    are not of this step stand as they were when last embedded; other names of the same thing are left out.
    """
    names = [name for name, _ in task.names]
    some = task.names[: task.often or len(names)]
    bare, opened = _state(soft), soft.gate.item() or GATE_START
    bare["gate"].zero_()
    soft.load_state_dict(bare)
    trained_before, held_before = mean_ap(soft, task, some), mean_ap(soft, task, task.held)
    with torch.no_grad():
        soft.gate.fill_(opened)
    bank = soft.precompute(names)
    soft.prefixes.requires_grad_(prefixes)
    weights = {name: weight for name, weight in soft.named_parameters() if weight.requires_grad}
    options = Optimizer(lr=rate, gate_lr=GATE_RATE, weight_decay=0.01, epochs=1, warmup_epochs=0.05)
    optimizer = torch.optim.AdamW(parameter_groups(weights, set(weights), options), lr=rate)
    rng = np.random.default_rng([seed, 0x50F7])
    thing = torch.tensor([of for _, of in task.names])
    kept, best, when = bare, held_before, 0
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate_factor(options, step=step, steps_per_epoch=steps, total=steps)
        columns = torch.from_numpy(_some(rng, len(names), task.often, names_a_step))
        fresh = soft([names[i] for i in columns])
        bank[columns] = fresh.detach()
        table = bank.index_copy(0, columns, fresh)
        rows = (task.things[:, None] == thing[columns]).nonzero()  # picture, place of its name among the columns
        wanted = columns[rows[:, 1]]
        logits = scale * task.pictures[rows[:, 0]] @ table.T
        twins = (thing == thing[wanted][:, None]) & (torch.arange(len(names)) != wanted[:, None])
        F.cross_entropy(logits.masked_fill(twins, -torch.inf), wanted).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if (step + 1) % CHECK_EVERY == 0 or step + 1 == steps:
            found = mean_ap(soft, task, task.held)
            if found > best:
                best, kept, when = found, _state(soft), step + 1
    soft.prefixes.requires_grad_(False)
    trained, last = mean_ap(soft, task, some), _state(soft)
    for gate in GATES:  # a little of what was learned may help where all of it does not
        with torch.no_grad():
            soft.gate.fill_(gate)
        if (found := mean_ap(soft, task, task.held)) > best:
            best, kept, when = found, _state(soft), steps
    soft.load_state_dict(kept)
    return Fit(trained_before, trained, held_before, best, when, soft.gate.item(), last)


def mean_ap(soft: SoftAttributes, task: Task, names: Sequence[tuple[str, int]]) -> float:
    """Mean average precision of names over all pictures of the task."""
    similarity = task.pictures @ soft.precompute([name for name, _ in names]).T
    truth = task.things[:, None] == torch.tensor([of for _, of in names])
    return float(np.nanmean(average_precision(similarity.numpy(), truth.numpy())))


def _some(rng: np.random.Generator, count: int, often: int, wanted: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Choose the names of a step, without replacement."""
    if not often:
        return rng.permutation(count)[:wanted]
    first = rng.permutation(often)[: wanted // 2]
    return np.concatenate([first, often + rng.permutation(count - often)[: wanted - len(first)]])


def _state(soft: SoftAttributes) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in soft.state_dict().items()}


def probe(language_model: Remembered, soft: SoftAttributes, task: Task, names: Sequence[str]) -> Tensor:
    """Embed names [C, D] by a ridge regression from the language model's mean state to the pictures' mean.

    What the states tell linearly of what a name looks like, without soft tokens, text tower and gate: a check of
    whether there is anything for soft attributes to learn. Both sides are centred on the trained names.
    """

    def states(some: Sequence[str]) -> Tensor:
        hidden, mask = language_model(soft.prefixes.detach(), some)
        own = mask.clone()
        own[:, : len(soft.prefixes)] = False  # the same before every name
        return (hidden * own[..., None]).sum(1) / own.sum(1, keepdim=True)

    x, z = states([name for name, _ in task.names]), states(names)
    centre, spread = x.mean(0), x.std(0) + 1e-6
    x, z = ((one - centre) / spread / x.shape[1] ** 0.5 for one in (x, z))
    things = torch.stack([task.pictures[task.things == of].mean(0) for _, of in task.names])
    middle = task.pictures.mean(0)
    solved = torch.linalg.solve(x @ x.T + 0.1 * torch.eye(len(x)), things - middle)
    return F.normalize(z @ x.T @ solved, dim=-1)
