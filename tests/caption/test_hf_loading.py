"""Models that cannot be loaded, and options that cannot be used: each says why in one line."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import olmv.io.network
from olmv.caption.captioner import open_captioner
from olmv.caption.hf_captioner import Blip2Captioner, ChatCaptioner
from olmv.errors import CaptionerUnavailableError, OlmvError, UsageError
from scripts.research.tiny_llama import build as build_llama
from tests.caption.tiny_blip2 import SIZE, opened, pictures


def error(spec: str, **given: Any) -> OlmvError:
    """What captioning fails with: one line, and quickly."""
    started = time.monotonic()
    captioner = opened(spec, **given)
    with pytest.raises(OlmvError) as caught:
        captioner.caption(pictures(1, SIZE))
    assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 10
    return caught.value


def edit(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a JSON file in place."""
    config = json.loads(file.read_text(encoding="utf-8"))
    change(config)
    file.write_text(json.dumps(config), encoding="utf-8")


def without_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["language_projection.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def of_another_shape(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["language_projection.weight"] = torch.zeros(3, 3)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def truncated(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def without_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


SPOILED: list[tuple[Callable[[Path], Any], str]] = [
    (without_a_weight, r"lacks 1 of its weights \(language_projection.weight"),
    (of_another_shape, "do not fit its config.json"),
    (pickled, "weights as pickle.*safetensors"),
    (truncated, "cannot load .*; get its files again"),
    (without_tokenizer, "holds no tokenizer .*put its tokenizer files beside"),
    (lambda folder: (folder / "model.safetensors").unlink(), "no weights in safetensors"),
    (lambda folder: (folder / "config.json").write_text("{"), "not a valid JSON file; get its files again"),
    (lambda folder: (folder / "config.json").unlink(), "Unrecognized model .*; get its files again"),
    (lambda folder: (folder / "processor_config.json").unlink(), "Can't load image processor"),
]


@pytest.mark.parametrize(("spoil", "message"), SPOILED, ids=[message[:24] for _, message in SPOILED])
def test_a_model_that_cannot_be_loaded_says_why(
    blip2: Path, copy: Callable[[Path], Path], spoil: Callable[[Path], Any], message: str
) -> None:
    folder = copy(blip2)
    spoil(folder)
    failure = error(f"blip2:{folder}")
    assert isinstance(failure, CaptionerUnavailableError)
    assert re.search(message, str(failure)), failure


def test_a_chat_model_without_tokenizer(chat: Path, copy: Callable[[Path], Path]) -> None:
    folder = copy(chat)
    without_tokenizer(folder)
    assert "holds no tokenizer" in str(error(f"hf:{folder}"))


def test_another_architecture(chat: Path, tmp_path: Path) -> None:
    llama = build_llama(tmp_path / "llama")
    failure = error(f"blip2:{chat}")
    assert isinstance(failure, CaptionerUnavailableError)
    assert f"is not a BLIP-2 but a llava; a chat model that reads pictures is named hf:{chat}" in str(failure)
    assert "is not a BLIP-2 but a llama" in str(error(f"blip2:{llama}"))
    assert "is a llama, which reads no pictures" in str(error(f"hf:{llama}"))


def test_a_chat_model_without_template_names_blip2(blip2: Path, chat: Path, copy: Callable[[Path], Path]) -> None:
    folder = copy(chat)
    (folder / "chat_template.jinja").unlink()
    for spoiled in (folder, blip2):
        failure = error(f"hf:{spoiled}")
        assert isinstance(failure, UsageError)
        assert "no chat template; choose an -Instruct model, or name a BLIP-2 as blip2:MODEL" in str(failure)


@pytest.mark.parametrize("family", ["blip2", "hf"])
def test_a_missing_model(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(olmv.io.network, "is_online", lambda: False)
    assert "no such folder: /nowhere/at/all" in str(error(f"{family}:/nowhere/at/all"))
    failure = error(f"{family}:nobody/no-such-captioner")
    assert isinstance(failure, CaptionerUnavailableError)
    assert "nor in the hub's cache" in str(failure)


def test_code_from_a_repository_is_not_run(tmp_path: Path) -> None:
    config = {"model_type": "unheard-of", "auto_map": {"AutoConfig": "code.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    assert "needs code from its repository" in str(error(f"hf:{tmp_path}"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", [Blip2Captioner, ChatCaptioner])
def test_options(kind: type[Blip2Captioner] | type[ChatCaptioner], blip2: Path) -> None:
    name = f"{kind.family}:{blip2}"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"options": {"device_mapp": "auto"}}, "no option 'device_mapp'; did you mean device_map"),
        ({"options": {"trust_remote_code": "true"}}, "no code from a model's repository"),
        ({"options": {"device_map": "auto"}, "device": "cpu"}, "contradict each other"),
        ({"max_tokens": 0}, "use at least 1"),
        ({"device": "nonsense"}, "unknown device"),
        ({"dtype": "nonsense"}, "unknown dtype"),
    ]
    for given, message in wrong:
        with pytest.raises(UsageError, match=message):
            open_captioner(name, **given)
    failure = error(f"blip2:{blip2}", options={"attn_implementation": "nonsense"})
    assert "attn_implementation" in str(failure)
    assert "choose eager or sdpa" in str(failure)


def test_the_image_token_of_older_checkpoints(blip2: Path, copy: Callable[[Path], Path]) -> None:
    folder = copy(blip2)
    edit(folder / "config.json", lambda config: config.update(image_token_index=None))
    frames = pictures(3, SIZE)
    assert opened(f"blip2:{folder}").caption(frames) == opened(f"blip2:{blip2}").caption(frames)


def test_a_processor_that_does_not_squash_is_refused(blip2: Path, copy: Callable[[Path], Path]) -> None:
    folder = copy(blip2)
    edit(folder / "processor_config.json", lambda config: config["image_processor"].update(size={"shortest_edge": 32}))
    assert "square pictures" in str(error(f"blip2:{folder}"))
