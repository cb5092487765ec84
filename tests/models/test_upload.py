"""Pushing a model to the stand-in of the Hub, and to a folder."""

import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
import torch

from olmv.errors import ModelError, ModelNotFoundError, OutputError, UsageError
from olmv.models.hub.download import download
from olmv.models.hub.upload import check_link, is_local, local_folder, model_files, push_to_hub
from olmv.models.registry import load_model, load_video_clip
from olmv.models.storage.label_embeddings import save_label_embeddings
from olmv.models.storage.saving import save_pretrained
from tests.support.hub_server import READER, HubServer, client_at
from tests.support.tiny import tiny_model

REPO = "somebody/tiny"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "m"
    save_pretrained(tiny_model(), folder)
    return folder


@pytest.fixture
def saved(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "m"))


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_only_a_models_files_are_sent(hub: HubServer, saved: Path) -> None:
    (saved / ".olmv-12.tmp").write_text("torn")
    (saved / "notes.txt").write_text("mine")
    (saved / "model.pt").write_text("pickle")
    (saved / "thresholds.json").write_text("{}")
    (saved / "vocab.json").mkdir()
    push_to_hub(saved, f"hf:{REPO}")
    wanted = {"config.json", "model.safetensors", "preprocess.json", "README.md", "tokenizer.json", "thresholds.json"}
    assert set(hub.files(REPO)) - {".gitattributes"} == wanted == {path.name for path in model_files(saved)}
    assert hub.messages == ["A model saved by olmv"]


def test_a_second_push_replaces_the_first_in_one_commit(hub: HubServer, saved: Path) -> None:
    save_label_embeddings(saved, ["a"], torch.nn.functional.normalize(torch.ones(1, 16), dim=1))
    push_to_hub(saved, REPO)
    assert "labels.json" in hub.files(REPO)
    hub.add(REPO, {"figure.png": b"theirs"})
    for name in ("labels.json", "label_embeddings.safetensors", "README.md"):
        (saved / name).unlink()
    push_to_hub(saved, REPO)
    there = set(hub.files(REPO))
    assert not there & {"labels.json", "label_embeddings.safetensors"}
    assert there >= {"figure.png", "README.md", "model.safetensors"}
    assert len(hub.messages) == 2


def test_a_branch_is_made(hub: HubServer, saved: Path) -> None:
    assert push_to_hub(saved, REPO, revision="exp/1") == f"{hub.url}/{REPO}/tree/exp/1"
    assert "model.safetensors" not in hub.files(REPO)
    assert listing(download(REPO, "exp/1")) == listing(saved)
    (saved / "README.md").write_text("# Again\n")
    push_to_hub(saved, REPO, revision="exp/1")
    assert (download(REPO, "exp/1") / "README.md").read_text() == "# Again\n"


def test_private_stays_private(hub: HubServer, saved: Path) -> None:
    push_to_hub(saved, "somebody/secret", private=True)
    assert hub.repos["somebody/secret"].private
    push_to_hub(saved, "somebody/secret", private=True)
    hub.add("somebody/open", {"README.md": b"# open\n"})
    with pytest.raises(ModelError, match=r"'somebody/open' is there and public; make it private on its page first"):
        push_to_hub(saved, "somebody/open", private=True)
    assert set(hub.files("somebody/open")) == {"README.md"}


@pytest.mark.parametrize(
    ("token", "told"),
    [
        (None, "not logged in; log in with `hf auth login`"),
        (READER, "you may not write to 'somebody/tiny'; use a token"),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_without_the_right_to_write(
    hub: HubServer,
    saved: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    told: str,
    there: bool,
) -> None:
    if there:
        hub.add(REPO, {"README.md": b""})
    with (
        client_at(hub.url, tmp_path / "cache", monkeypatch, token=token),
        pytest.raises(ModelError, match=told) as caught,
    ):
        push_to_hub(saved, REPO)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((404, "no such organisation"), "the Hub finds no 'somebody/tiny' to write to; check the name"),
        ((500, "down"), r"was not pushed \(the Hub answers 500\); push again"),
    ],
)
def test_a_hub_that_refuses(hub: HubServer, saved: Path, answer: tuple[int, str], told: str) -> None:
    hub.answer_all = answer
    with pytest.raises(ModelError, match=told):
        push_to_hub(saved, REPO)


def test_an_upload_that_breaks_off(hub: HubServer, saved: Path) -> None:
    hub.full = True
    with pytest.raises(ModelError, match=r"was not pushed \(the Hub answers 507\); push again, what was sent is kept"):
        push_to_hub(saved, REPO)
    assert "model.safetensors" not in hub.files(REPO)


def test_a_card_that_the_hub_does_not_take(hub: HubServer, saved: Path) -> None:
    (saved / "README.md").write_text("---\na: [\n---\n# Bad\n")
    with pytest.raises(ModelError, match=r"does not take the card .*; correct the metadata in README\.md") as caught:
        push_to_hub(saved, REPO)
    assert "\n" not in str(caught.value)


def test_without_a_network(hub: HubServer, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.stop()
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:\d+ does not answer; get on line, or push to a folder"):
        push_to_hub(saved, REPO)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set, and pushing needs the network; unset it"):
        push_to_hub(saved, REPO)


@pytest.mark.parametrize(
    ("repo", "revision"), [("tiny", None), ("a/b/c", None), ("a/b@v1", None), (REPO, "a b"), ("C:\\models\\m", None)]
)
def test_names_that_are_none(saved: Path, repo: str, revision: str | None) -> None:
    with pytest.raises(ModelNotFoundError, match=r"is not the name of a repository|is no branch, tag or commit"):
        push_to_hub(saved, repo, revision=revision)


def _remove(name: str) -> Any:
    return lambda folder: (folder / name).unlink()


def _write(name: str, content: bytes) -> Any:
    return lambda folder: (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (_remove("config.json"), r"holds no config\.json; name a folder that olmv saved a model in"),
        (_write("config.json", b"{"), r"config\.json cannot be read.*; save the model"),
        (_write("config.json", b'{"model_type": "xclip"}'), "as Hugging Face wrote it; run olmv models convert"),
        (_remove("preprocess.json"), r"lacks preprocess\.json; save the model again"),
        (_remove("tokenizer.json"), r"lacks tokenizer\.json"),
        (_remove("model.safetensors"), r"lacks model\.safetensors"),
        (_write("model.safetensors", b"torn"), r"cannot be read \(.*\); save the model again"),
        (_write("model.safetensors", b"\x02\0\0\0\0\0\0\0{}"), "holds no weights"),
        (_write("labels.json", b"{}"), r"labels\.json.*; compute label embeddings again"),
    ],
)
def test_folders_that_are_not_complete(saved: Path, harm: Any, told: str) -> None:
    harm(saved)
    with pytest.raises(ModelError, match=told):
        push_to_hub(saved, REPO)


# A folder in the place of the Hub


def test_a_folder_takes_a_model_and_the_next(saved: Path, tmp_path: Path) -> None:
    (saved / "notes.txt").write_text("mine")
    target = tmp_path / "shared" / "models" / "tiny"
    assert push_to_hub(saved, str(target)) == str(target)
    assert listing(target).keys() == listing(saved).keys() - {"notes.txt"}
    again, first = (load_video_clip(folder, device="cpu", dtype="float32") for folder in (target, saved))
    pixels = torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(1, 2, 3, 32, 32)
    torch.testing.assert_close(again.encode_video(pixels), first.encode_video(pixels), rtol=0, atol=0)
    (saved / "README.md").unlink()
    push_to_hub(saved, f"file://{target}")
    assert not (target / "README.md").exists()
    assert [path.name for path in target.parent.iterdir()] == ["tiny"]


def test_an_empty_folder_and_a_link_are_filled(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    push_to_hub(saved, str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "config.json").is_file()


@pytest.mark.parametrize(
    ("fill", "told"),
    [
        ({"thesis.txt": b"years"}, r"holds 'thesis\.txt', which is no part of a model"),
        ({"README.md": b"mine"}, "is not empty and holds no model"),
        ({"config.json": b'{"format": "olmv-model/99"}'}, r"holds no model .*newer olmv.*\); choose another"),
    ],
)
def test_nothing_of_the_users_is_overwritten(saved: Path, tmp_path: Path, fill: dict[str, bytes], told: str) -> None:
    target = tmp_path / "there"
    target.mkdir()
    for name, data in fill.items():
        (target / name).write_bytes(data)
    with pytest.raises(OutputError, match=told):
        push_to_hub(saved, str(target))
    assert listing(target) == fill


def test_targets_that_are_none(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is the model's own folder; choose another"):
        push_to_hub(saved, f"{saved}/../m")
    for inside in ("inner", "a/b"):
        with pytest.raises(OutputError, match=r"/(inner|b)' lies in the model's own folder; choose another"):
            push_to_hub(saved, f"{saved}/{inside}")
    with pytest.raises(OutputError, match="has the model's own folder in it; choose another"):
        push_to_hub(saved, str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file; choose a folder"):
        push_to_hub(saved, str(tmp_path / "file"))
    with pytest.raises(OutputError, match=r"cannot write '.*/file/deeper': .*; choose another folder"):
        push_to_hub(saved, str(tmp_path / "file" / "deeper"))
    for options in ({"private": True}, {"message": "m"}, {"revision": "v1"}):
        with pytest.raises(UsageError, match="is a folder and has no branches, messages or privacy"):
            push_to_hub(saved, str(tmp_path / "t"), **options)


@pytest.mark.parametrize("step", ["shutil.copyfile", "pathlib.Path.rename"])
def test_a_copy_that_breaks_off_leaves_what_was_there(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    target = tmp_path / "t"
    push_to_hub(saved, str(target))
    before = listing(target)
    (saved / "README.md").write_text("# New\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(step, full)
    with pytest.raises(OutputError, match=r"No space left on device; choose another folder|the disk is full"):
        push_to_hub(saved, str(target))
    assert listing(target) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "t"]


def test_the_copy_has_the_users_umask(saved: Path, tmp_path: Path) -> None:
    push_to_hub(saved, str(tmp_path / "t"))
    (tmp_path / "plain").touch()
    wanted = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "t").iterdir()} == {wanted}


def test_what_is_a_folder() -> None:
    assert all(map(is_local, ("/a", "./a", "../a", "~/a", "file:a", "file:///a")))
    assert not any(map(is_local, ("a/b", "hf:a/b", "a")))
    assert local_folder("file:///a/b%20c") == Path("/a/b c")
    assert local_folder("file:a/b%20c") == Path("a/b%20c")
    assert local_folder("~/m") == Path.home() / "m"


@pytest.mark.parametrize("repo", ["~nosuchuser/x", "file://[bad/x"])
def test_folders_that_can_be_none(saved: Path, repo: str) -> None:
    with pytest.raises(UsageError, match=r"names no folder \(.+\); write \./DIR or /DIR"):
        push_to_hub(saved, repo)


@pytest.mark.parametrize("name", ["README.md", "vocab.txt", "model.safetensors", "config.json"])
@pytest.mark.parametrize("there", [True, False])
def test_links_out_of_the_folder_are_not_followed(saved: Path, tmp_path: Path, name: str, there: bool) -> None:
    if there:
        (tmp_path / "secret").write_text("secret")
    (saved / name).unlink(missing_ok=True)
    (saved / name).symlink_to(tmp_path / "secret")
    with pytest.raises(
        ModelError, match=rf"{name}' is a link to a file outside of the model; put the file itself there"
    ):
        push_to_hub(saved, str(tmp_path / "t"))
    assert not (tmp_path / "t").exists()


def test_links_within_the_folder_and_the_hubs_cache_are_read(saved: Path, tmp_path: Path) -> None:
    (saved / "README.md").rename(saved / "CARD.md")
    (saved / "README.md").symlink_to("CARD.md")
    (tmp_path / "link").symlink_to(saved)
    push_to_hub(tmp_path / "link", str(tmp_path / "a"))
    assert not (tmp_path / "a" / "README.md").is_symlink()
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / "0f", tmp_path / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted((tmp_path / "a").iterdir())):
        path.rename(blobs / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    push_to_hub(snapshot, str(tmp_path / "b"))
    assert load_model(tmp_path / "b", device="cpu", dtype="float32").embed_dim == 16
    (snapshot / "vocab.txt").symlink_to("../../../m/config.json")
    with pytest.raises(ModelError, match="is a link to a file outside of the model"):
        check_link(snapshot / "vocab.txt")
