"""The loss of a batch in several processes: the mean of their gradients is that of one process with all the videos."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.train.config_file import parse_config
from olmv.train.data.dataset import Batch
from olmv.train.losses import BatchLoss
from olmv.train.trainable import Trainable, label_bank, select_weights
from tests.support.tiny import tiny_model

CONFIG = parse_config({
    "data": {"train": {"moji": {"seed": 1, "clips": 2}}, "frames": 2},
    "objective": {"label_weight": 0.0, "caption_weight": 4.0},
})  # fmt: skip
Captions = list[str | None]


def batch_of(captions: Captions, seed: int) -> Batch:
    """Clips of noise, or where there are no captions a batch whose videos all failed."""
    count = len(captions)
    size = tiny_model().preprocess.size
    noise = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 2, 3, size, size), dtype=torch.uint8, generator=noise)
    return Batch(
        pixels=pixels if count else None,
        mask=torch.ones(count, 2, dtype=torch.bool),
        targets=torch.zeros(count, 2),
        labelled=torch.ones(count, dtype=torch.bool),
        captions=captions,
        videos=[str(i) for i in range(count)],
        failed=[],
    )


def joined(batches: list[Batch]) -> Batch:
    parts = [batch for batch in batches if batch.pixels is not None]
    return Batch(
        pixels=torch.cat([batch.pixels for batch in parts if batch.pixels is not None]),
        mask=torch.cat([batch.mask for batch in parts]),
        targets=torch.cat([batch.targets for batch in parts]),
        labelled=torch.cat([batch.labelled for batch in parts]),
        captions=[caption for batch in parts for caption in batch.captions],
        videos=[video for batch in parts for video in batch.videos],
        failed=[],
    )


def gradients(batch: Batch, *, rank: int = 0, processes: int = 1) -> tuple[dict[str, Tensor], float]:
    """Run one process's loss backwards; its gradients and the loss that it logs."""
    model = tiny_model()
    trainable = Trainable(model).eval()
    bank = label_bank(model, build_texts(Vocabulary.from_names(["dog", "cat"]), "none"))
    weights, _ = select_weights(trainable, "visual")
    accelerator = SimpleNamespace(num_processes=processes, process_index=rank, device=torch.device("cpu"))
    loss, figures = BatchLoss(CONFIG, trainable, trainable, bank, accelerator)(batch, 0)
    torch.autograd.backward(loss)
    # DistributedDataParallel waits for every trained weight
    found = {name: weight.grad for name, weight in weights.items() if weight.grad is not None}
    assert set(found) == set(weights)
    return found, figures["loss"]


@pytest.mark.parametrize(
    "captions",
    [
        [["a dog runs", "a cat", "rain"], ["snow", "a horse", "two birds"]],
        [["a dog runs", None, "rain", "a cat"], [None, "snow", None]],
        [["a dog runs", "a cat"], ["a cat", "a dog runs"]],
        [["a dog runs", "a cat", "rain"], [None, None]],
        [["a dog runs", "a cat", "rain"], []],
        [["a dog runs"], ["a cat"]],
    ],
    ids=["alike", "unequal", "the same twice", "none in one", "all failed in one", "one each"],
)
def test_the_mean_of_processes_is_one_process(captions: list[Captions], monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [batch_of(part, seed) for seed, part in enumerate(captions)]
    sent: list[Any] = []

    class SentError(Exception):
        pass

    def send(objects: list[Any]) -> list[Any]:
        sent.extend(objects)
        raise SentError

    monkeypatch.setattr("accelerate.utils.gather_object", send)
    for rank, batch in enumerate(batches):
        with pytest.raises(SentError):
            gradients(batch, rank=rank, processes=2)
    monkeypatch.setattr("accelerate.utils.gather_object", lambda objects: list(sent))
    (first, loss), (second, _) = (gradients(batch, rank=rank, processes=2) for rank, batch in enumerate(batches))
    monkeypatch.undo()

    expected, alone = gradients(joined(batches))
    assert loss == pytest.approx(alone, rel=1e-5)
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    assert largest > 1e-3
    for name, gradient in expected.items():
        assert torch.allclose((first[name] + second[name]) / 2, gradient, rtol=1e-3, atol=1e-5 * largest), name


def test_one_caption_in_all_has_nothing_to_tell_it_from() -> None:
    found, loss = gradients(batch_of(["a dog", None], 0))
    assert loss == 0
    assert all(float(gradient.abs().max()) == 0 for gradient in found.values())
