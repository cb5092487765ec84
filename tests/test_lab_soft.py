"""What the laboratory's soft attributes are trained with: kept states, and a task that can be learned."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from olmv.models.soft_attributes.language_model import LanguageModel, load_language_model
from scripts.research.lab_soft import Remembered, Task, fit, make_soft, mean_ap, probe, shuffled
from tests.support.tiny import tiny_model
from tests.support.tiny_lm import write_language_model

NAMES = ["a dog", "rain", "cat", "striped"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load_language_model(write_language_model(tmp_path_factory.mktemp("lm") / "llama", "llama"))


@pytest.fixture
def remembered(plain: LanguageModel) -> Remembered:
    return Remembered(plain.model, plain.tokenizer, plain.name)


@pytest.fixture
def task() -> Task:
    """Four things, five pictures each, whose names say nothing of them; the last one is held back."""
    torch.manual_seed(0)
    centres = torch.randn(4, tiny_model().embed_dim)
    pictures = normalize(centres.repeat_interleave(5, 0) + 0.1 * torch.randn(20, centres.shape[1]), dim=-1)
    pairs = [(name, i) for i, name in enumerate(NAMES)]
    return Task(pictures, torch.arange(4).repeat_interleave(5), tuple(pairs[:3]), 0, tuple(pairs[3:]))


def test_states_are_kept_while_the_prefixes_are_not_trained(
    plain: LanguageModel, remembered: Remembered, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefixes = torch.randn(3, plain.input_width)
    states, mask = remembered(prefixes, NAMES)
    expected, real = plain(prefixes, NAMES)
    assert torch.equal(mask, real)
    torch.testing.assert_close(states[mask], expected[real], rtol=0, atol=1e-5)
    monkeypatch.setattr(plain.model, "forward", None)  # is not run again
    again, _ = remembered(prefixes, NAMES[::-1])
    assert torch.equal(again[-1][: mask[0].sum()], states[0][mask[0]])
    with pytest.raises(TypeError):
        remembered(prefixes + 1, NAMES)


def test_trained_prefixes_get_their_gradient(remembered: Remembered) -> None:
    remembered(torch.zeros(2, remembered.input_width), NAMES)
    prefixes = torch.randn(2, remembered.input_width, requires_grad=True)
    states, mask = remembered(prefixes, NAMES)
    states[mask].square().sum().backward()  # type: ignore[no-untyped-call]
    assert prefixes.grad is not None
    assert bool(prefixes.grad.abs().min(dim=1).values.sum() > 0)


def test_a_label_may_be_read_as_another(remembered: Remembered) -> None:
    prefixes = torch.randn(2, remembered.input_width)
    rain = remembered(prefixes, ["rain"])[0]
    remembered.instead = {"a dog": "rain"}
    assert torch.equal(remembered(prefixes, ["a dog"])[0], rain)


def test_shuffled_names_are_all_others() -> None:
    found = shuffled([*NAMES, NAMES[0]], 3)
    assert sorted(found) == sorted(found.values()) == sorted(NAMES)
    assert all(name != other for name, other in found.items())


@pytest.mark.parametrize("prefixes", [False, True])
def test_training_learns_names_that_say_nothing(remembered: Remembered, task: Task, prefixes: bool) -> None:
    by_heart = replace(task, held=task.names)  # the best step is that of the trained names
    soft = make_soft(tiny_model(), remembered, 0)
    first = soft.prefixes.detach().clone()
    before = mean_ap(soft, by_heart, task.names)
    found = fit(soft, by_heart, scale=20.0, rate=1e-2, seed=0, steps=48, names_a_step=3, prefixes=prefixes)
    assert found.held_before == found.trained_before == pytest.approx(before)
    assert found.held > before + 0.25
    assert mean_ap(soft, by_heart, task.names) == pytest.approx(found.held)
    assert torch.equal(soft.prefixes, first) != prefixes
    soft.load_state_dict(dict(found.last))
    assert mean_ap(soft, by_heart, task.names) == pytest.approx(found.trained)


def test_what_never_helps_held_names_leaves_the_bare_ones(
    remembered: Remembered, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([0.5, 0.5, 0.4, 0.3, 0.9, *[0.5] * 4])  # trained and held before, held twice, trained; other gates
    monkeypatch.setattr("scripts.research.lab_soft.mean_ap", lambda *_: next(values))
    soft = make_soft(tiny_model(), remembered, 0)
    found = fit(soft, task, scale=20.0, rate=1e-2, seed=0, steps=48, names_a_step=3)
    assert (found.trained, found.held, found.step, soft.gate.item()) == (0.9, 0.5, 0, 0.0)
    assert found.last["gate"] != 0


def test_a_little_of_what_was_learned_may_be_kept(
    remembered: Remembered, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([0.5, 0.5, 0.4, 0.3, 0.9, 0.5, 0.6, 0.6, 0.4])
    monkeypatch.setattr("scripts.research.lab_soft.mean_ap", lambda *_: next(values))
    soft = make_soft(tiny_model(), remembered, 0)
    found = fit(soft, task, scale=20.0, rate=1e-2, seed=0, steps=48, names_a_step=3)
    assert (found.held, found.step) == (0.6, 48)
    assert found.gate == soft.gate.item() == pytest.approx(0.1)


def test_the_probe_finds_what_the_states_tell(remembered: Remembered, task: Task) -> None:
    soft = make_soft(tiny_model(), remembered, 0)
    everything = Task(task.pictures, task.things, (*task.names, *task.held), 0, ())
    embeddings = probe(remembered, soft, everything, NAMES)
    assert (task.pictures @ embeddings.T).argmax(1).tolist() == task.things.tolist()


def test_nouns_are_measured_by_every_arm(remembered: Remembered, monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts.research import lab_nouns, lab_soft

    for module in (lab_nouns, lab_soft):
        monkeypatch.setattr(module, "language_models", lambda: {"SmolLM2": remembered})
    for name, value in {"STEPS": 2, "PREFIX_STEPS": 1}.items():
        monkeypatch.setattr(lab_soft, name, value)
    monkeypatch.setattr(lab_nouns, "HELD", 2)
    model, labels = tiny_model(), ("dog", "cat", "car", "bee", "fox", "owl", "rain", "sun")
    truth = torch.eye(8).repeat(3, 1)
    pictures = normalize(model.encode_texts(labels), dim=-1).repeat(3, 1)  # as its text tower says
    found = lab_nouns.nouns(model, pictures, truth, labels, 0)
    arms = {name.rpartition("/")[0] for name in found}
    assert arms >= {
        "bare names", "WordNet book, topk", "soft attributes, SmolLM2", "soft attributes, SmolLM2, names shuffled",
        "soft attributes, SmolLM2, prefixes trained", "linear probe, SmolLM2",
    }  # fmt: skip
    assert found["bare names/unseen_names_map"] == found["bare names/unseen_names_top1"] == 1
    assert found["soft attributes, SmolLM2/held_map_before"] == 1


def test_sets_that_are_missing_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts.research import lab_nouns

    monkeypatch.setattr("sys.argv", ["lab_nouns.py", str(tmp_path), "--json", str(tmp_path / "out.json")])
    with pytest.raises(SystemExit, match=r"has no labels.csv; name a folder of photos of nouns, such as DATA/nouns"):
        lab_nouns.main()
