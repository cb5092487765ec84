"""Real models, tiny and without sense: batches, prompts, pixels and number formats."""

from pathlib import Path
from typing import Any

import pytest
import torch

from olmv.caption.hf_captioner import QUESTION
from olmv.errors import CaptionerUnavailableError
from tests.caption.tiny_blip2 import QUERIES, SIZE, opened, pictures

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
