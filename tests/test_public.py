"""What `import olmv` gives, what it costs, and the torchvision guard."""

import subprocess
import sys

import pytest

import olmv
import olmv.errors

HEAVY = ("torch", "torchvision", "transformers", "open_clip", "av", "decord", "pyarrow", "rich")


def run_python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_public_name_is_there() -> None:
    for name in olmv.__all__:
        assert getattr(olmv, name) is not None
    assert set(olmv.__all__) <= set(dir(olmv))


def test_public_names_are_the_documented_ones() -> None:
    values = {"Vocabulary", "AttributeBook", "Thresholds", "TimelineOptions", "VideoPrediction"}
    classes = {"Classifier", "Client", "Library"} | values
    functions = {"load_model", "push_to_hub", "read_frames", "save_pretrained"}
    assert set(olmv.__all__) == classes | functions | set(olmv.errors.__all__)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'olmv' has no attribute 'Clasifier'"):
        olmv.Clasifier  # noqa: B018


@pytest.mark.parametrize(
    "code",
    [
        "import olmv",
        "import olmv.cli",
        "from olmv.cli import main; main(['--help'])",
        "from olmv.cli import main; main(['predict', '--help'])",
        "import olmv.predict.job, olmv.predict.page, olmv.datasets.manifests",
    ],
)
def test_light_imports(code: str) -> None:
    loaded = run_python(f"{code}; import sys; print('LOADED', *sys.modules)").rpartition("LOADED")[2].split()
    assert not set(HEAVY) & set(loaded)


def test_a_client_loads_no_model_and_no_decoder() -> None:
    code = "import olmv, sys; olmv.Client('http://127.0.0.1:1').predict([b'a'], ['dog']); print(*sys.modules)"
    assert set(HEAVY) & set(run_python(code).split()) <= {"rich"}  # httpx has it for a command of its own


def test_torchvision_and_open_clip_import_after_olmv() -> None:
    run_python("import olmv, torchvision, open_clip; from torchvision.transforms import v2; v2.Resize(4)")


def test_box_operators_raise_torchvisions_own_error() -> None:
    out = run_python(
        "import olmv, torch, torchvision\n"
        "if torchvision.extension._has_ops(): print('has operators')\n"
        "else:\n"
        "    try: torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)\n"
        "    except RuntimeError as error: print(error)\n"
    )
    assert "Couldn't load custom C++ ops" in out or "has operators" in out


def test_guard_cures_a_failed_first_import() -> None:
    run_python(
        "try:\n    import torchvision\nexcept RuntimeError:\n    pass\nimport olmv, torchvision\ntorchvision.transforms"
    )


def test_guard_is_installed_once() -> None:
    from olmv import _torchvision_guard

    before = list(sys.meta_path)
    _torchvision_guard.install()
    assert sys.meta_path == before
