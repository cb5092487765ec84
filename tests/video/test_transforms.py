"""Our preprocessing against open_clip's own, through PIL, as its embeddings see it."""

import json
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from olmv.video.transforms import Preprocess
from tests.support.videos import picture

SIZES = [(240, 320), (720, 1280), (256, 340), (321, 241), (640, 360), (100, 60), (224, 224), (225, 224), (1080, 500)]


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """[H, W, 3]: shapes of all sizes with texture and noise, harder on a resizer than most footage."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(picture(90, width=width, height=height))
    for side in (3, 9, 33):
        layer = Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        image = Image.blend(image, layer, 0.4)
    return np.clip(np.asarray(image) + rng.normal(0, 8, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def clip() -> Any:
    import open_clip

    torch.manual_seed(0)
    return open_clip.create_model("ViT-B-32", pretrained=None).eval()


@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_pixels_match_pil(mode: str, interpolation: str) -> None:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    config = PreprocessCfg(size=224, resize_mode=mode, interpolation=interpolation, fill_color=7)
    theirs = image_transform_v2(config, is_train=False)
    ours = Preprocess.from_open_clip(
        {"size": 224, "resize_mode": mode, "interpolation": interpolation, "fill_color": 7}
    )
    for height, width in SIZES:
        frame = photo(height, width)
        expected = theirs(Image.fromarray(frame))
        got = ours.normalize(ours.resize(frame))[0]
        assert got.shape == expected.shape == (3, 224, 224)
        levels = (got - expected).abs() * torch.tensor(ours.std).view(3, 1, 1) * 255
        assert levels.max() <= 1.01, (height, width)
        assert levels.mean() < 0.3, (height, width)  # Pillow chooses by the sizes which way it resizes first


def test_embeddings_match_open_clips(clip: Any) -> None:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    config = clip.visual.preprocess_cfg
    theirs = image_transform_v2(PreprocessCfg(**config), is_train=False)
    ours = Preprocess.from_open_clip(config)
    frames = [photo(h, w, seed) for seed, (h, w) in enumerate(SIZES)]
    with torch.inference_mode():
        a = clip.encode_image(torch.stack([theirs(Image.fromarray(f)) for f in frames]), normalize=True)
        b = clip.encode_image(ours.normalize(np.concatenate([ours.resize(f) for f in frames])), normalize=True)
    assert (a * b).sum(-1).min() >= 0.9999


def test_dict_round_trip() -> None:
    original = Preprocess(size=64, mean=(0.1, 0.2, 0.3), resize_mode="longest", fill_color=128)
    assert Preprocess.from_dict(json.loads(json.dumps(original.to_dict()))) == original


def test_open_clip_configurations() -> None:
    assert Preprocess.from_open_clip({"size": [384, 384], "interpolation": "random"}).size == 384
    with pytest.raises(ValueError, match="model input of 224x336 is not square"):
        Preprocess.from_open_clip({"size": (224, 336)})


def test_refusals() -> None:
    with pytest.raises(ValueError, match="size is 0; give a whole number of pixels from 1 to 4096"):
        Preprocess(size=0)
    with pytest.raises(ValueError, match="unknown interpolation 'nearest'; use one of bicubic, bilinear"):
        Preprocess(interpolation="nearest")
    with pytest.raises(ValueError, match="unknown resize_mode 'stretch'; use one of shortest"):
        Preprocess(resize_mode="stretch")
    with pytest.raises(ValueError, match="unknown preprocess key 'crop'"):
        Preprocess.from_dict({"crop": 1})
    with pytest.raises(ValueError, match=r"frames are float32 \[1, 4, 4, 3\]; expected uint8"):
        Preprocess().resize(np.zeros((4, 4, 3), np.float32))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"size": true}', "size is True; give a whole number of pixels"),
        ('{"size": 64.0}', "size is 64.0; give a whole number"),
        ('{"size": 1e400}', "size is inf; give a whole number"),
        ('{"size": 5000}', "size is 5000; give a whole number of pixels from 1 to 4096"),
        ('{"mean": [0, 0]}', r"mean is \(0, 0\); give three numbers from -1e\+06 to 1e\+06"),
        ('{"mean": "abc"}', "mean is 'abc'; give three numbers"),
        ('{"mean": [1' + "0" * 400 + ", 0, 0]}", r"mean is \(1000.*; give three numbers"),
        ('{"std": [0, 0, 0]}', r"std is \(0, 0, 0\); give three numbers from 1e-06 to 1e\+06"),
        ('{"std": [NaN, 1, 1]}', r"std is \(nan, 1, 1\); give three numbers"),
        ('{"std": [true, 1, 1]}', r"std is \(True, 1, 1\); give three numbers"),
        ('{"std": null}', "std is None; give three numbers"),
        ('{"fill_color": "x"}', "fill_color is 'x'; give a whole number from 0 to 255"),
        ('{"fill_color": 256}', "fill_color is 256; give"),
        ('{"antialias": 1}', "antialias is 1; it is true or false"),
        ('{"crop_ratio": "x"}', "crop_ratio is 'x'; it is at most 1"),
        ('{"crop_ratio": 1.5}', "crop_ratio is 1.5; it is at most 1"),
        ('{"crop_ratio": 1e-9}', "crop_ratio is 1e-09; it is at most 1, and size / crop_ratio at most 4096"),
        ('{"interpolation": []}', r"unknown interpolation \[\]; use one of"),
    ],
)
def test_values_that_no_model_has(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocess.from_dict(json.loads(text))


def test_shapes_and_dtypes() -> None:
    ours = Preprocess(size=32)
    assert ours.resize(np.zeros((0, 9, 9, 3), np.uint8)).shape == (0, 3, 32, 32)
    assert ours.resize(np.zeros((2, 1, 500, 3), np.uint8)).shape == (2, 3, 32, 32)
    assert ours.resize(np.zeros((2, 32, 32, 3), np.uint8)).flags.c_contiguous
    assert Preprocess(size=8, resize_mode="longest").resize(np.zeros((1, 1, 500, 3), np.uint8)).shape == (1, 3, 8, 8)
    out = ours.normalize(torch.zeros(2, 5, 3, 32, 32, dtype=torch.uint8), dtype=torch.bfloat16)
    assert out.shape == (2, 5, 3, 32, 32)
    assert out.dtype == torch.bfloat16


def test_shrink_keeps_the_whole_frame() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    small = Preprocess(size=8).shrink(frame, (20, 30))
    assert small.shape == (1, 3, 20, 30)
    assert small.dtype == np.uint8
    assert np.array_equal(Preprocess(size=8).shrink(frame, (40, 60))[0], frame.transpose(2, 0, 1))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_without_antialiasing_only_near_pixels_count(interpolation: str) -> None:
    stripes = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    stripes[:, ::4] = 255
    spread = [
        torch.from_numpy(Preprocess(size=16, interpolation=interpolation, antialias=on).resize(stripes))
        for on in (True, False)
    ]
    assert spread[0].float().mean() == pytest.approx(255 / 4, abs=4)
    expected = torch.nn.functional.interpolate(
        stripes.permute(0, 3, 1, 2).float(), size=(16, 16), mode=interpolation, align_corners=False
    )
    assert (spread[1].float() - expected.clamp(0, 255)).abs().max() <= 1
    assert (spread[0].float() - spread[1].float()).abs().max() > 20


def test_normalising_leaves_the_callers_pixels() -> None:
    pixels = torch.full((1, 3, 4, 4), 100.0)
    Preprocess(size=4).normalize(pixels)
    assert (pixels == 100).all()


def test_frames_that_cannot_be_written_are_read_without_a_word() -> None:
    frames = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(1, 8, 8, 3)
    frames.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = Preprocess(size=8).resize(frames)
    assert (pixels[0].transpose(1, 2, 0) == frames[0]).all()
