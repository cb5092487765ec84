"""Real models, tiny and without sense: batches, prompts, pixels, number formats, and what goes wrong."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import olmv.io.network
from olmv.caption.captioner import open_captioner
from olmv.caption.hf_captioner import QUESTION, Blip2Captioner, ChatCaptioner
from olmv.errors import CaptionerUnavailableError, OlmvError, UsageError
from scripts.research.tiny_llama import build as build_llama
from tests.caption.tiny_blip2 import QUERIES, SIZE, build, build_chat


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """On a busy machine the threads of so small a model wait for each other: seconds become a minute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def blip2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("blip2"))


@pytest.fixture(scope="module")
def blip2_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("blip2_t5"), t5=True)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_chat(tmp_path_factory.mktemp("chat"))


@pytest.fixture(params=["blip2", "blip2_t5", "chat"])
def spec(request: pytest.FixtureRequest) -> str:
    """Every family in turn."""
    folder = request.getfixturevalue(request.param)
    return f"{'hf' if request.param == 'chat' else 'blip2'}:{folder}"


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Path]:
    """Makes copies of a model that a test may spoil."""

    def copied(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / "copy"))

    return copied


def opened(spec: str, **given: Any) -> Any:
    """In float32: in bfloat16 two words can tie, and padding then decides."""
    return open_captioner(spec, **{"device": "cpu", "dtype": "float32", "max_tokens": 8, **given})


def pictures(count: int, size: int) -> torch.Tensor:
    """Frames that differ in colour and in texture."""
    random = torch.Generator().manual_seed(3)
    noise = torch.randint(0, 256, (count, 3, size, size), generator=random)
    colour = torch.randint(0, 256, (count, 3, 1, 1), generator=random)
    return ((noise + 3 * colour) // 4).to(torch.uint8)


def error(spec: str, **given: Any) -> OlmvError:
    """What captioning fails with: one line, and quickly."""
    started = time.monotonic()
    captioner = opened(spec, **given)
    with pytest.raises(OlmvError) as caught:
        captioner.caption(pictures(1, SIZE))
    assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 10
    return caught.value


# --- captions


def test_every_frame_has_its_caption_in_a_batch_as_alone(spec: str) -> None:
    captioner = opened(spec)
    frames = pictures(6, captioner.preprocess.size)
    together = captioner.caption(frames)
    assert len(together) == 6
    assert len(set(together)) > 2  # or order would prove nothing
    assert together == [captioner.caption(frame[None])[0] for frame in frames]
    assert captioner.caption(frames.flip(0)) == together[::-1]


def test_frames_that_end_early_do_not_disturb_the_others(blip2: Path) -> None:
    captioner = opened(f"blip2:{blip2}")
    frames = pictures(6, SIZE)
    before = captioner.caption(frames)
    tokens = captioner._processor.tokenizer(before[0], add_special_tokens=False)["input_ids"]
    captioner._model.language_model.generation_config.eos_token_id = tokens[len(tokens) // 2]
    after = captioner.caption(frames)
    assert len(after[0]) < len(before[0])
    assert any(len(text) == len(old) for text, old in zip(after, before, strict=True))
    assert after == [captioner.caption(frame[None])[0] for frame in frames]


@pytest.mark.parametrize("fixture", ["blip2", "blip2_t5"])
def test_it_captions_as_transformers_alone_does(fixture: str, request: pytest.FixtureRequest) -> None:
    """Pictures without a question, as the published recipe; there `generate` makes the prompt itself."""
    from PIL import Image
    from transformers import Blip2ForConditionalGeneration, Blip2Processor

    folder = request.getfixturevalue(fixture)
    frames = pictures(4, SIZE)
    processor = Blip2Processor.from_pretrained(folder)
    model = Blip2ForConditionalGeneration.from_pretrained(folder).eval()
    if fixture == "blip2_t5":  # transformers' own prompt needs it; the published T5 configs name 1, their end
        model.config.text_config.bos_token_id = processor.tokenizer.eos_token_id
    images = [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in frames]
    with torch.inference_mode():
        output = model.generate(**processor(images=images, return_tensors="pt"), max_new_tokens=8, do_sample=False)
    if fixture == "blip2":
        assert (output[:, :QUERIES] == model.config.image_token_index).all()
    expected = [text.strip() for text in processor.batch_decode(output, skip_special_tokens=True)]
    assert opened(f"blip2:{folder}").caption(frames) == expected


def test_the_prompt_is_not_part_of_a_chat_caption(chat: Path) -> None:
    captioner = opened(f"hf:{chat}", max_tokens=30)
    size = captioner.preprocess.size
    assert QUESTION in captioner._prompt()
    for text in captioner.caption(pictures(3, size)):
        assert "Describe" not in text
        assert "<|" not in text


def test_a_caption_is_cut_at_max_tokens(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, widths = [], []
    for max_tokens in (3, 12):
        captioner = opened(spec, max_tokens=max_tokens)
        frames = pictures(3, captioner.preprocess.size)
        captioner.caption(frames)
        generate = captioner._model.generate

        def watched(generate: Any = generate, **given: Any) -> Any:
            output = generate(**given)
            widths.append(output.shape[1])
            return output

        monkeypatch.setattr(captioner._model, "generate", watched)
        texts.append(captioner.caption(frames))
    assert widths[1] - widths[0] == 12 - 3
    for brief, full in zip(*texts, strict=True):
        # where a character of several bytes was cut in two stands a replacement character
        assert full.startswith(brief.rstrip("\ufffd"))
        assert len(full) > len(brief)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(spec: str, dtype: str) -> None:
    captioner = opened(spec, dtype=dtype)
    frames = pictures(8, captioner.preprocess.size)
    # words of random weights are a close race, which rounding decides now and then
    pairs = zip(captioner.caption(frames), opened(spec).caption(frames), strict=True)
    assert sum(half[:10] == full[:10] for half, full in pairs) >= 5
    assert getattr(torch, dtype) in {weight.dtype for weight in captioner._model.parameters()}


def test_no_frames_need_no_model() -> None:
    assert opened("blip2:/nowhere").caption(torch.zeros(0, 3, SIZE, SIZE, dtype=torch.uint8)) == []


def test_closing_twice_and_going_on(spec: str) -> None:
    captioner = opened(spec)
    frames = pictures(2, captioner.preprocess.size)
    assert captioner._model is None  # the preprocessing needs no weights
    before = captioner.caption(frames)
    captioner.close()
    captioner.close()
    assert captioner._model is None
    assert captioner.caption(frames) == before
    assert captioner.name == spec


def test_a_device_map_places_the_model(spec: str) -> None:
    mapped = opened(spec, device="auto", options={"device_map": "cpu"})
    frames = pictures(2, mapped.preprocess.size)
    assert mapped.caption(frames) == opened(spec).caption(frames)


def test_nothing_is_printed(spec: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    captioner = opened(spec)
    captioner.caption(pictures(2, captioner.preprocess.size))
    captured = capfd.readouterr()
    assert captured.out == captured.err == caplog.text == ""


# --- pixels


def test_pixels_are_those_of_the_models_own_processor(blip2: Path) -> None:
    from PIL import Image
    from transformers import Blip2Processor

    preprocess = opened(f"blip2:{blip2}").preprocess
    assert (preprocess.size, preprocess.resize_mode, preprocess.interpolation) == (SIZE, "squash", "bicubic")
    frames = pictures(3, SIZE)
    images = [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in frames]
    expected = Blip2Processor.from_pretrained(blip2)(images=images, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(preprocess.normalize(frames), expected, rtol=0, atol=2e-6)


def test_a_picture_that_olmv_resizes_is_almost_that_of_the_processor(blip2: Path) -> None:
    from PIL import Image
    from transformers import Blip2Processor

    preprocess = opened(f"blip2:{blip2}").preprocess
    smooth = torch.nn.functional.interpolate(pictures(1, 6).float(), size=(90, 160), mode="bicubic").clamp(0, 255)
    frame = smooth[0].permute(1, 2, 0).to(torch.uint8)
    image = Image.fromarray(frame.numpy())
    expected = Blip2Processor.from_pretrained(blip2)(images=image, return_tensors="pt")["pixel_values"]
    difference = preprocess.normalize(preprocess.resize(frame)) - expected
    assert difference.abs().max() < 2.5 / 255 / min(preprocess.std)


def test_a_processor_that_does_not_squash_is_refused(blip2: Path, copy: Callable[[Path], Path]) -> None:
    folder = copy(blip2)
    edit(folder / "processor_config.json", lambda config: config["image_processor"].update(size={"shortest_edge": 32}))
    assert "square pictures" in str(error(f"blip2:{folder}"))


# --- memory


def test_what_is_too_large_is_done_in_halves(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    captioner = opened(spec)
    frames = pictures(5, captioner.preprocess.size)
    expected = captioner.caption(frames)
    generate, sizes = captioner._model.generate, []

    def limited(**given: Any) -> Any:
        sizes.append(len(given["pixel_values"]))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return generate(**given)

    monkeypatch.setattr(captioner._model, "generate", limited)
    assert captioner.caption(frames) == expected
    assert sizes == [5, 2, 3, 1, 2]


def test_a_single_frame_that_is_too_large(blip2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captioner = opened(f"blip2:{blip2}")
    captioner.caption(pictures(1, SIZE))

    def full(**given: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(captioner._model, "generate", full)
    with pytest.raises(CaptionerUnavailableError, match="single frame; choose a smaller model or dtype"):
        captioner.caption(pictures(4, SIZE))


# --- what goes wrong


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
