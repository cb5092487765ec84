"""A saved model to the Hugging Face Hub, or to a folder in its place."""

import os
import shutil
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from olmv.errors import ModelError, OutputError, UsageError, reason
from olmv.io.atomic import replacing_folder
from olmv.io.network import fetching
from olmv.models.families import find_family
from olmv.models.hub.download import PREFIX, check_repo, client, is_model_file
from olmv.models.storage.folder import read_config
from olmv.models.storage.label_embeddings import load_label_embeddings

__all__ = ["check_link", "check_push", "is_local", "local_folder", "model_files", "push_to_hub"]


def is_local(repo: str) -> bool:
    """Tell whether this names a folder on this machine: `/...`, `./...`, `../...`, `~...` or `file:...`."""
    return repo.startswith(("/", "./", "../", "~", "file:"))


def local_folder(repo: str) -> Path:
    """Return the folder that a name for which `is_local` means.

    Raises:
        UsageError: it can be none.
    """
    try:
        if repo.startswith("file://"):
            repo = unquote(urlparse(repo).path)
        return Path(repo.removeprefix("file:")).expanduser()
    except (ValueError, RuntimeError) as error:  # a bad URL; a user who is not known here
        raise UsageError(f"{repo!a} names no folder ({reason(error)}); write ./DIR or /DIR") from None


def check_link(path: Path) -> None:
    """Raise ModelError where a file of a model folder is a link to what is not in it, so none of the model's.

    The Hub's cache is one folder in this: there a model's files are links into `blobs`, beside `snapshots`.
    """
    folder, real = path.parent.resolve(), Path(os.path.realpath(path))
    around = folder.parent.parent / "blobs" if folder.parent.name == "snapshots" else folder
    if path.is_symlink() and not (real.is_relative_to(folder) or real.is_relative_to(around)):
        raise ModelError(f"'{path}' is a link to a file outside of the model; put the file itself there, or delete it")


def model_files(folder: str | Path) -> list[Path]:
    """List the files of a complete model folder that olmv saved, by name; others that lie there are left out.

    Raises:
        ModelError: it is no such folder, a file is missing or torn, or is a link that leads out of the folder.
    """
    from safetensors import SafetensorError, safe_open

    folder = Path(folder)
    for path in folder.iterdir() if folder.is_dir() else ():
        if is_model_file(path.name):
            check_link(path)
    if not (folder / "config.json").is_file():
        raise ModelError(f"'{folder}' holds no config.json; name a folder that olmv saved a model in")
    required = find_family(read_config(folder)["family"]).required_files
    if required is None:
        raise ModelError(f"'{folder}' is as Hugging Face wrote it; run olmv models convert on it, then push the result")
    for name in ("model.safetensors", "preprocess.json", *required):
        if not (folder / name).is_file():
            raise ModelError(f"'{folder}' lacks {name}; save the model again")
    try:
        with safe_open(folder / "model.safetensors", framework="pt") as file:  # reads the header, checks the length
            empty = not list(file.keys())
    except (OSError, SafetensorError) as error:
        raise ModelError(f"the weights in '{folder}' cannot be read ({reason(error)}); save the model again") from None
    if empty:
        raise ModelError(f"model.safetensors in '{folder}' holds no weights; save the model again")
    load_label_embeddings(folder)  # both files or none, and of each other
    return sorted(path for path in folder.iterdir() if is_model_file(path.name) and path.is_file())


def check_push(
    folder: str | Path, repo: str, *, private: bool = False, message: str | None = None, revision: str | None = None
) -> str:
    """Check what can be known of a push before anything is written or sent; arguments and errors as `push_to_hub`.

    Returns:
        The name by which the model will load: `hf:ORG/REPO`, `hf:ORG/REPO@BRANCH`, or the folder's without its path.
    """
    if is_local(repo):
        if private or message or revision:
            raise UsageError(f"'{repo}' is a folder and has no branches, messages or privacy; leave these options out")
        place = Path(os.path.realpath(local_folder(repo)))
        model_files(folder)
        _check_target(place, Path(folder), local_folder(repo))
        return f"./{place.name}"
    repo = repo.removeprefix(PREFIX)
    check_repo(repo, revision)
    model_files(folder)
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise ModelError("HF_HUB_OFFLINE is set, and pushing needs the network; unset it, or push to a folder: ./DIR")
    return PREFIX + repo + (f"@{revision}" if revision not in (None, "main") else "")


def push_to_hub(
    folder: str | Path,
    repo: str,
    *,
    private: bool = False,
    message: str | None = None,
    revision: str | None = None,
) -> str:
    """Send a saved model to the Hub in one commit; the repository and the branch are made if need be.

    Of an earlier model there, files that this one has not are deleted; whatever else lies there is kept.

    Args:
        folder: complete, see `model_files`; nothing but a model's own files is sent.
        repo: ORG/REPO (or hf:ORG/REPO). Or a folder (see `is_local`), for machines without a hub: the model is copied
            there whole or not at all, in the place of a model that was there.
        private: make the repository private; one that exists must be so already.
        message: of the commit.
        revision: the branch; default: main.

    Returns:
        Where it is: a URL, or the folder.

    Raises:
        ModelError: the folder is not complete, or the Hub cannot be reached or does not take it.
        ModelNotFoundError: not the name of a repository or a branch.
        OutputError: the folder to copy to holds something else, or cannot be written.
        UsageError: private, message or revision for a folder.
    """
    check_push(folder, repo, private=private, message=message, revision=revision)
    files = model_files(folder)
    if is_local(repo):
        return str(_copy(files, local_folder(repo)))
    repo = repo.removeprefix(PREFIX)
    from huggingface_hub import constants

    with fetching(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the client's remarks about metadata
        if constants.HF_HUB_OFFLINE:
            raise ModelError(f"{constants.ENDPOINT} does not answer; get on line, or push to a folder: ./DIR")
        try:
            return _push(files, repo, private=private, message=message or "A model saved by olmv", revision=revision)
        except ModelError:
            raise
        except Exception as error:  # hub, network and file errors have no common class
            raise _refused(repo, error) from None


def _push(files: list[Path], repo: str, *, private: bool, message: str, revision: str | None) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    api = client()
    # None: as the organisation has it by default
    url = str(api.create_repo(repo, private=private or None, exist_ok=True))
    if private and not api.model_info(repo).private:
        raise ModelError(f"'{repo}' is there and public; make it private on its page first, or push to another")
    if revision is not None and revision != "main":
        api.create_branch(repo, branch=revision, exist_ok=True)
    names = {path.name for path in files}
    stale = [name for name in api.list_repo_files(repo, revision=revision) if is_model_file(name)]
    operations: list[Any] = [CommitOperationAdd(path.name, path) for path in files]
    # the card stays: it may be all that the repository had
    operations += [CommitOperationDelete(name) for name in stale if name not in {*names, "README.md"}]
    api.create_commit(repo, operations, commit_message=message, revision=revision)
    return url if revision is None or revision == "main" else f"{url}/tree/{revision}"


def _refused(repo: str, error: Exception) -> ModelError:
    """Turn the Hub's error into ours."""
    cause: BaseException | None = error
    while cause is not None and not hasattr(cause, "response"):  # an upload in a thread wraps it
        cause = cause.__cause__
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if status == 401:
        return ModelError(f"'{repo}' cannot be pushed: not logged in; log in with `hf auth login` and a token to write")
    if status == 403:
        return ModelError(
            f"you may not write to '{repo}'; use a token that may write, or push to a repository of your own"
        )
    if status == 404:
        return ModelError(f"the Hub finds no '{repo}' to write to; check the name of the organisation")
    if "README.md" in str(error):
        return ModelError(f"the Hub does not take the card ({reason(error)}); correct the metadata in README.md")
    why = f"the Hub answers {status}" if status is not None else reason(error)
    return ModelError(f"'{repo}' was not pushed ({why}); push again, what was sent is kept")


def _copy(files: list[Path], target: Path) -> Path:
    """Copy to a new folder beside the target, then put it in its place."""
    place = Path(os.path.realpath(target))  # a link stays a link
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing_folder(place) as fresh:
            for path in files:
                shutil.copyfile(path, fresh / path.name)
                with (fresh / path.name).open("rb") as copy:
                    os.fsync(copy.fileno())
    except OSError as error:
        raise OutputError(f"cannot write '{target}': {error.strerror or error}; choose another folder") from None
    return target


def _check_target(place: Path, source: Path, target: Path) -> None:
    """Raise OutputError if something would be lost there."""
    own = Path(os.path.realpath(source))
    if place == own:
        raise OutputError(f"'{target}' is the model's own folder; choose another")
    if place.is_relative_to(own) or own.is_relative_to(place):
        where = "lies in the model's own folder" if place.is_relative_to(own) else "has the model's own folder in it"
        raise OutputError(f"'{target}' {where}; choose another")
    if not place.exists():
        return
    if not place.is_dir():
        raise OutputError(f"'{target}' is a file; choose a folder")
    there = sorted(path.name for path in place.iterdir() if not (is_model_file(path.name) and path.is_file()))
    if there:
        raise OutputError(f"'{target}' holds '{there[0]}', which is no part of a model; choose another folder")
    if any(place.iterdir()):
        try:
            read_config(place)
        except ModelError as error:
            raise OutputError(f"'{target}' is not empty and holds no model ({reason(error)}); choose another") from None
