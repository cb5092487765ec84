"""A run as data: what is understood, and what is told of the rest."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.errors import InputError, UsageError
from olmv.io.paths import share_dir
from olmv.train.config import TrainConfig
from olmv.train.config_file import find_config, load_config, parse_config

LEAST: dict[str, Any] = {"data": {"train": {"moji": {"seed": 1, "clips": 2}}}}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimiser.lr=1", "unknown key 'optimiser'; did you mean 'optimizer'?"),
        ("optimizer.epoch=1", "unknown key 'optimizer.epoch'; did you mean 'epochs'?"),
        ("data.train.moji.clip=1", "unknown key 'data.train.moji.clip'; did you mean 'clips'?"),
        ("model.soft_attributes={llm: x, prefixs: 1}", "'model.soft_attributes.prefixs'; did you mean 'prefixes'?"),
        (
            "data.validation.moji={moji: {seed: 1, clips: 1, motion: 1}}",
            "unknown key 'data.validation.moji.moji.motion'; did you mean 'motions'?",
        ),
        ("run.zzz=1", "unknown key 'run.zzz'; known here: seed, device,"),
        ("data.train={moji: {seed: 1}}", "'data.train.moji.clips' is missing; add it"),
        ("data.train.moji.clips=0", "'data.train.moji.clips': input should be greater than or equal to 1"),
        ("data.train.moji.labels=[]", "'data.train.moji.labels': tuple should have at least 1 item"),
        ("data.frames=many", "'data.frames': input should be a valid integer"),
        ("data.train.manifest=a.csv", "'data.train': name exactly one of manifest, dataset and moji"),
        ("data.train={}", "'data.train': name exactly one of manifest, dataset and moji"),
        ("objective.label=mse", "'objective.label': input should be 'bce', 'asymmetric' or 'cross-entropy'"),
        ("regularization.iwr_max_ratio=1", "'regularization.iwr_max_ratio': input should be less than 1"),
        ("optimizer.lr=.nan", "'optimizer.lr': input should be "),
        ("optimizer.lr=0", "'optimizer.lr': input should be greater than 0"),
        ("optimizer.betas=[0.9, 1]", "'optimizer.betas.1': input should be less than 1"),
        ("run.log_every=0", "'run.log_every': input should be greater than or equal to 1"),
        ("run.steps=0", "'run.steps': input should be greater than or equal to 1"),
        ("run=3", "'run': input should be"),
        ("sweep.ratios=[0, 2]", "'sweep.ratios.1': input should be less than or equal to 1"),
        ("sweep={}", "sweep has nothing to choose its ratio by; add a data.validation source, or set sweep.ratio"),
        ("nonsense", "the override 'nonsense' is not key=value; write for example optimizer.epochs=3"),
        ("=1", "the override '=1' is not key=value"),
        ("run.seed=[1", r"the override 'run.seed=[1': the value is not YAML; put it in quotes"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(override: str, message: str) -> None:
    with pytest.raises(UsageError) as told:
        parse_config(LEAST, [override])
    assert message in str(told.value)
    assert "\n" not in str(told.value)


def test_a_guard_needs_something_to_guard() -> None:
    source = "{moji: {seed: 1, clips: 1}}"
    sources = f"data.validation={{seen: {source}, guard: {source}}}"
    assert parse_config(LEAST, [sources, "sweep={}"]).sweep is not None
    assert parse_config(LEAST, [sources, "sweep.ratios=[0, 0.5]"]).sweep is not None  # the original is measured anyway
    with pytest.raises(UsageError, match="sweep has nothing to choose its ratio by"):  # the guard only limits
        parse_config(LEAST, [f"data.validation.guard={source}", "sweep={}"])
    assert parse_config(LEAST, ["sweep.ratio=0.5"]).sweep is not None


@pytest.mark.parametrize(("key", "value"), [("regularization.iwr", "0.5"), ("sweep.ratio", "0.5")])
def test_nothing_is_mixed_where_all_that_is_trained_is_new(key: str, value: str) -> None:
    overrides = [f"{key}={value}", "model={temporal: attention, train: new}"]
    message = (
        rf"{key.split('.ratio')[0]} mixes trained weights with the original's, .*; leave it out, or set model\.train"
    )
    with pytest.raises(UsageError, match=message):
        parse_config(LEAST, overrides)
    parse_config(LEAST, [*overrides, "model.train=visual"])
    parse_config(LEAST, [*overrides, "model.temporal=null"])  # the model's own module was there before


@pytest.mark.parametrize("text", ["1e-4", "0.0001", "1.e-4", "+1E-4", ".1e-3", "'0.0001'"])
def test_numbers_as_people_write_them(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"data: {{train: {{moji: {{seed: 1, clips: 1e2}}}}}}\noptimizer: {{lr: {text}}}")
    config = load_config(path)
    assert config.optimizer.lr == pytest.approx(1e-4)
    assert config.data.train.moji is not None
    assert config.data.train.moji.clips == 100
    assert load_config(path, [f"optimizer.lr={text}"]) == config


def test_quoted_digits_stay_text(tmp_path: Path) -> None:
    path = write(tmp_path, "data: {train: {manifest: a.csv, split: '2024'}}\ndescription: '1e5'")
    config = load_config(path, ["data.train.label_column='7'"])
    assert (config.data.train.split, config.description, config.data.train.label_column) == ("2024", "1e5", "7")


def test_later_overrides_win_and_the_given_values_stay() -> None:
    config = parse_config(LEAST, ["optimizer.epochs=3", "optimizer.epochs=4", "data.train.moji.clips=9"])
    assert config.optimizer.epochs == 4
    assert LEAST == {"data": {"train": {"moji": {"seed": 1, "clips": 2}}}}


def test_smoke(tmp_path: Path) -> None:
    text = yaml.safe_dump(LEAST)
    path = write(tmp_path, text + "smoke: {optimizer.epochs: 1, data.train.moji.clips: 1}\n")
    assert load_config(path).optimizer.epochs == 22
    assert load_config(path, smoke=True).optimizer.epochs == 1
    assert load_config(path, ["optimizer.epochs=5"], smoke=True).optimizer.epochs == 5
    with pytest.raises(UsageError, match=r"yaml: unknown key 'optimizer.lrr'"):
        load_config(path, ["optimizer.lrr=1"], smoke=True)
    drawn = "data: {train: {manifest: a.csv}}\nsmoke: {data.train: {moji: {seed: 1, clips: 1}}}\n"
    path = write(tmp_path, drawn)
    assert load_config(path, ["data.train.manifest=b.csv"]).data.train.manifest == Path("b.csv")
    with pytest.raises(UsageError, match=r"yaml with its smoke section: 'data.train': "):
        load_config(path, ["data.train.manifest=b.csv"], smoke=True)
    with pytest.raises(UsageError, match="has no `smoke` section; run it whole"):
        load_config(write(tmp_path, text), smoke=True)


def test_files_that_hold_no_config(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.yaml is not YAML: "):
        load_config(write(tmp_path, "a: [1"))
    with pytest.raises(InputError, match=r"holds no keys; a config starts with `data:`"):
        load_config(write(tmp_path, "- 1"))
    with pytest.raises(InputError, match="no such file"):
        load_config(tmp_path / "missing.yaml")
    with pytest.raises(UsageError, match="'data' is missing; add it"):
        load_config(write(tmp_path, "description: x"))
    with pytest.raises(UsageError, match=r"run\.yaml: '1': keys should be strings"):
        load_config(write(tmp_path, yaml.safe_dump(LEAST) + "1: 2"))


def test_shipped_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [path.stem for path in share_dir("configs").glob("*.yaml")]
    assert "moji_motions" in names
    for name in names:
        config = load_config(find_config(name))
        load_config(find_config(name), smoke=True)
        assert TrainConfig.from_dict(config.to_dict()) == config
    with pytest.raises(InputError, match=r"no config file or shipped config is called 'moji_motion'; there are .*moji"):
        find_config("moji_motion")
    with pytest.raises(InputError, match=r"is called 'zzzz'; there are .*moji_motions"):
        find_config("zzzz")
    assert find_config("own.yaml") == Path("own.yaml")  # reading it tells that it is missing
    Path("moji_motions").write_text("x")
    assert find_config("moji_motions") == Path("moji_motions")


@pytest.mark.parametrize("size", ["b32", "b16", "l14"])
def test_open_vclip_plus_plus_is_open_vclip_with_captions(size: str) -> None:
    plain, captioned = (load_config(find_config(f"openvclip_{name}{size}")).to_dict() for name in ("k400_", "pp_k400_"))
    assert captioned["objective"]["caption_weight"] == 4
    assert captioned["data"]["train"]["manifest"] == "data/k400/train_captioned.csv"
    assert captioned["sweep"]["ratio"] == (0.6 if size == "l14" else 0.5)
    captioned["objective"]["caption_weight"] = plain["objective"]["caption_weight"]
    captioned["data"]["train"] = plain["data"]["train"]
    captioned["description"] = plain["description"]
    assert captioned == plain
    model, rule, steps = plain["model"], plain["regularization"], plain["optimizer"]
    assert (model["temporal"], model["temporal_options"]) == ("cross-frame", {"edges": "zero"})
    assert (model["interpolation"], model["antialias"]) == ("bilinear", False)
    assert (rule["iwr"], rule["iwr_max_ratio"], rule["swa_start"]) == (0.5, 0.6, 1)
    assert (steps["lr"], steps["epochs"], steps["warmup_epochs"], steps["weight_decay"]) == (3.33e-6, 22, 2, 0.01)


POSITIVE = st.floats(1e-9, 1e3)


@settings(max_examples=30, deadline=None)
@given(
    lr=POSITIVE,
    iwr=st.floats(0, 10),
    betas=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)),
    steps=st.none() | st.integers(1, 9),
    ratios=st.lists(st.floats(0, 1), min_size=1, max_size=4),
    description=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20),
    motions=st.none() | st.lists(st.sampled_from(["spinning", "falling"]), max_size=2),
    cache=st.none() | st.just("a/b"),
)
def test_a_config_survives_its_file(cache: str | None, motions: Any, **values: Any) -> None:
    config = TrainConfig.from_dict({
        "data": {"train": {"moji": {"seed": 3, "clips": 2, "motions": motions}}, "cache": cache},
        "optimizer": {"lr": values["lr"], "betas": values["betas"]},
        "regularization": {"iwr": values["iwr"]},
        "run": {"steps": values["steps"]},
        "sweep": {"ratios": values["ratios"], "ratio": 0.5},
        "description": values["description"],
    })  # fmt: skip
    plain = config.to_dict()
    assert TrainConfig.from_dict(plain) == config
    assert TrainConfig.from_dict(yaml.safe_load(yaml.safe_dump(plain, sort_keys=False))) == config
