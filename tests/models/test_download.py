"""Models on the Hub: the real client against a stand-in of the server."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from olmv.errors import ModelError, ModelNotFoundError, WeightsUnavailableError
from olmv.models.hub.download import FILES, check_repo, download, is_model_file, parse
from olmv.models.hub.upload import push_to_hub
from olmv.models.registry import load_video_clip
from olmv.models.storage.saving import save_pretrained
from tests.support.hub_server import HubServer, client_at
from tests.support.tiny import tiny_model

REPO = "somebody/tiny"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "m"
    save_pretrained(tiny_model(temporal="attention"), folder, description="for a test")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def scores(folder: Path) -> torch.Tensor:
    model = load_video_clip(folder, device="cpu", dtype="float32").eval()
    pixels = torch.linspace(-1, 1, 2 * 3 * 3 * 32 * 32).view(2, 3, 3, 32, 32)
    with torch.no_grad():
        return model.encode_video(pixels) @ model.encode_texts(["dog", "rain"]).T


def test_a_pushed_model_comes_back_with_the_same_scores(hub: HubServer, saved: Path) -> None:
    url = push_to_hub(saved, REPO, message="the first")
    folder = download(REPO)
    assert url == f"{hub.url}/{REPO}"
    assert hub.messages == ["the first"]
    assert contents(folder) == contents(saved)
    torch.testing.assert_close(scores(folder), scores(saved), rtol=0, atol=0)
    assert any(agent.startswith("olmv/") for agent in hub.agents)


def test_what_was_fetched_serves_without_a_network(
    hub: HubServer, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.add(REPO, contents(saved))
    fetched = download(REPO)
    assert download(REPO, commit) == fetched
    hub.stop()
    assert download(REPO) == fetched
    assert download(REPO, commit) == fetched
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert download(REPO) == fetched
    with pytest.raises(WeightsUnavailableError, match=r"'hf:somebody/tiny@v2' .*\(HF_HUB_OFFLINE is set\).*; unset it"):
        download(REPO, "v2")


def test_a_hub_that_is_down_serves_from_the_cache(hub: HubServer, saved: Path) -> None:
    hub.add(REPO, contents(saved))
    fetched = download(REPO)
    hub.answer_all = (503, "down")
    assert download(REPO) == fetched
    with pytest.raises(WeightsUnavailableError, match=r"cannot be fetched \(the Hub answers 503\).*; try again later"):
        download("somebody/other")


def test_a_token_that_is_not_taken(hub: HubServer) -> None:
    hub.answer_all = (401, "Invalid credentials in Authorization header")
    with pytest.raises(WeightsUnavailableError, match=r"does not accept the token; log in again with `hf auth login`"):
        download(REPO)


def test_every_revision_is_its_own(hub: HubServer, saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    save_pretrained(tiny_model(seed=5), other)
    first = hub.add(REPO, contents(saved))
    hub.add(REPO, contents(other), branch="exp/2")
    hub.add(REPO, contents(other))
    assert contents(download(REPO, first)) == contents(saved)
    assert contents(download(REPO, "exp/2")) == contents(other)
    assert (download(REPO) / "config.json").read_bytes() == (other / "config.json").read_bytes()
    with pytest.raises(ModelNotFoundError, match=r"'somebody/tiny' has no revision 'v9'; name a branch, tag or commit"):
        download(REPO, "v9")


def test_only_the_files_of_a_model_are_fetched(hub: HubServer, saved: Path) -> None:
    extra = {"pytorch_model.bin": b"pickle", "evil.py": b"", "logs/a.txt": b"", "sub/config.json": b"{}"}
    hub.add(REPO, contents(saved) | extra | {"spiece.model": b"sp"})
    folder = download(REPO)
    assert {str(p.relative_to(folder)) for p in folder.rglob("*")} == {*contents(saved), "spiece.model"}


def test_no_such_repository_or_not_for_everybody(
    hub: HubServer, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no model 'somebody/nothing', or it is private; .*hf auth login"):
        download("somebody/nothing")
    hub.add("a/private", contents(saved), private=True)
    hub.add("a/gated", contents(saved), gated=True)
    with client_at(hub.url, tmp_path / "cache", monkeypatch, token=None):
        with pytest.raises(ModelNotFoundError, match="or it is private"):
            download("a/private")
        with pytest.raises(WeightsUnavailableError, match=r"'hf:a/gated' is gated: ask for access .*`hf auth login`"):
            download("a/gated")
    with client_at(hub.url, tmp_path / "cache", monkeypatch):
        assert download("a/private").is_dir()


def test_without_a_network_and_nothing_in_the_cache(hub: HubServer) -> None:
    hub.stop()
    with pytest.raises(
        WeightsUnavailableError, match=r"127\.0\.0\.1:\d+ does not answer\).*; get on line once, or use"
    ):
        download(REPO)


def test_a_torn_cache_is_not_a_model(hub: HubServer, saved: Path) -> None:
    hub.add(REPO, contents(saved))
    (download(REPO) / "model.safetensors").unlink()
    hub.stop()
    with pytest.raises(WeightsUnavailableError, match="is not in the cache"):
        download(REPO)


CONFIG = {"config.json": json.dumps({"format": "olmv-model/2"}).encode()}
WEIGHTS = {"model.safetensors": b"x"}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"README.md": b""}, r"holds no config\.json; name a model that olmv saved"),
        ({"open_clip_config.json": b"{}", **WEIGHTS}, "is an open_clip model; load it as hf-hub:a/b"),
        (
            CONFIG | {"pytorch_model.bin": b""},
            r"a pickle \(pytorch_model\.bin\).*models convert DIR/pytorch_model\.bin -o",
        ),
        (CONFIG | {"x.pt": b"", "sub/a.bin": b""}, r"a pickle \(x\.pt\), which could hold code"),
        (CONFIG | {"model.safetensors.index.json": b"{}", "model-1.safetensors": b""}, "in several files"),
        (CONFIG, r"holds no model\.safetensors; name a repository with weights"),
        ({"config.json": b'{"model_type": "bert"}', **WEIGHTS}, "'bert'.* is neither .*; name a model of one of these"),
        (
            {"config.json": b'{"model_type": "clip"}', "open_clip_config.json": b"{}", **WEIGHTS},
            "'clip'.* is neither saved by olmv nor a Hugging Face X-CLIP; load it as hf-hub:a/b",
        ),
        ({"config.json": b"[]", **WEIGHTS}, r"'unknown'\) is neither"),
        ({"config.json": b"{", **WEIGHTS}, r"config\.json cannot be read: .*; tell the authors of 'hf:a/b'"),
        (
            CONFIG
            | WEIGHTS
            | {"open_clip_config.json": b'{"model_cfg": {"text_cfg": {"tokenizer_kwargs": {"trust_remote_code": 1}}}}'},
            "asks for code of its own to be run",
        ),
        (CONFIG | WEIGHTS | {"tokenizer_config.json": b'{"auto_map": {"AutoTokenizer": "x--y.Z"}}'}, "code of its own"),
        (CONFIG | WEIGHTS | {"tokenizer_config.json": b'{"a": [{"trust_remote_code": true}]}'}, "which olmv never"),
        (
            CONFIG | WEIGHTS | {"tokenizer_config.json": b'{"a":' * 600 + b'{"auto_map": 1}' + b"}" * 600},
            "nested more than 64 deep; tell the authors",
        ),
    ],
)
def test_a_repository_without_a_usable_model(hub: HubServer, files: dict[str, bytes], told: str) -> None:
    hub.add("a/b", files)
    with pytest.raises(ModelError, match=told) as caught:
        download("a/b")
    assert "\n" not in str(caught.value)
    assert not any("model.safetensors" in request for request in hub.requests)  # not fetched in vain


def test_an_x_clip_of_hugging_face_is_fetched(hub: HubServer) -> None:
    files = {"config.json": b'{"model_type": "xclip"}', "preprocessor_config.json": b"{}", "merges.txt": b"", **WEIGHTS}
    hub.add("microsoft/x", files | {"pytorch_model.bin": b""})
    assert contents(download("microsoft/x")) == files


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (OSError(errno.ENOSPC, "No space left"), "the disk is full; make room, or set HF_HOME"),
        (RuntimeError("torn\n\nto pieces"), r"\(torn to pieces\); try again, what was fetched is kept"),
    ],
)
def test_a_download_that_breaks_off(
    hub: HubServer, saved: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, told: str
) -> None:
    hub.add(REPO, contents(saved))

    def breaks(*_: object, **__: object) -> Any:
        raise failure

    monkeypatch.setattr("huggingface_hub._snapshot_download.hf_hub_download", breaks)
    with pytest.raises(WeightsUnavailableError, match=told):
        download(REPO)


def test_names() -> None:
    assert parse("hf:a/b") == ("a/b", None)
    assert parse("hf:a/b@v1.0") == ("a/b", "v1.0")
    assert parse("hf:a/b@refs/pr/3") == ("a/b", "refs/pr/3")


@pytest.mark.parametrize("name", ["a/b", "hf:", "hf:a/b@", "hf:@v1", "hf-hub:a/b"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ModelNotFoundError, match=r"write (hf:)?ORG/REPO"):
        parse(name)


@pytest.mark.parametrize("repo", ["b", "a/b/c", "a//b", "../b", "a/..", "a b/c", "", "a/b.git", "a/" + "b" * 100])
def test_what_is_no_repository(repo: str) -> None:
    with pytest.raises(ModelNotFoundError, match="is not the name of a repository on the Hub; write ORG/REPO"):
        check_repo(repo)


@pytest.mark.parametrize(
    "revision", ["..", "a/../../b", "/etc", "-x", "a b", "a\nb", "x/", "a@{1}", "a:b", ".x", "a\\b"]
)
def test_what_is_no_revision(revision: str) -> None:
    with pytest.raises(ModelNotFoundError, match="is no branch, tag or commit"):
        parse(f"hf:a/b@{revision}")


@given(st.text(max_size=30))
def test_a_revision_never_leads_out_of_its_folder(text: str) -> None:
    try:
        _, revision = parse(f"hf:a/b@{text}")
    except ModelNotFoundError:
        return
    assert revision == text
    assert Path("/refs", text).resolve().is_relative_to("/refs")
    assert ".." not in Path(text).parts


def test_model_files() -> None:
    assert all(is_model_file(name) for name in (*FILES, "spiece.model", "sentencepiece.bpe.model"))
    assert not any(map(is_model_file, ("a.bin", "x/config.json", ".model", "a/b.model", "model.pt", ".olmv-1.tmp")))
