"""Model folders on the Hugging Face Hub: `hf:ORG/REPO[@REVISION]`. What goes there is `olmv.models.hub.upload`'s.

Only the files of a model folder are fetched, never a pickle, and nothing in them is run.
"""

import errno
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from olmv.errors import ModelError, ModelNotFoundError, WeightsUnavailableError, reason
from olmv.io.network import fetching
from olmv.models.families import foreign_family
from olmv.models.storage.json import read_json

__all__ = ["FILES", "check_repo", "client", "download", "is_model_file", "parse"]

PREFIX = "hf:"
FILES = (
    *("config.json", "model.safetensors", "preprocess.json", "preprocessor_config.json", "README.md"),
    *("labels.json", "label_embeddings.safetensors", "thresholds.json"),
    *("open_clip_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "vocab.txt", "merges.txt"),
)
"""What a model folder may hold, besides `*.model`, the tokenizers of SentencePiece."""
_CONFIGS = ("config.json", "open_clip_config.json", "tokenizer_config.json")
"""Small, and enough to know whether the rest is worth fetching."""
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
_EXAMPLE = "microsoft/xclip-base-patch32"


def is_model_file(name: str) -> bool:
    """Tell whether this name, relative to the folder, is one of a model folder's."""
    return name in FILES or re.fullmatch(r"\w[\w.-]*\.model", name) is not None


def parse(name: str) -> tuple[str, str | None]:
    """Split `hf:ORG/REPO[@REVISION]` -> ("ORG/REPO", revision or None). A revision is a branch, a tag or a commit.

    Raises:
        ModelNotFoundError: it is not such a name.
    """
    repo, at, revision = name.removeprefix(PREFIX).partition("@")
    if not name.startswith(PREFIX) or (at and not revision):
        raise ModelNotFoundError(
            f"'{name}' is not the name of a model on the Hub; write {PREFIX}ORG/REPO or {PREFIX}ORG/REPO@REVISION, "
            f"such as {PREFIX}{_EXAMPLE}"
        )
    check_repo(repo, revision or None)
    return repo, revision or None


def check_repo(repo: str, revision: str | None = None) -> None:
    """Raise ModelNotFoundError unless these can be a repository of the Hub, and a branch, tag or commit."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, but not in its __all__

    try:
        validate_repo_id(repo)
        sound = repo.count("/") == 1
    except HFValidationError:
        sound = False
    if not sound:
        raise ModelNotFoundError(
            f"'{repo:.100}' is not the name of a repository on the Hub; write ORG/REPO, such as {_EXAMPLE}"
        )
    # as git's check-ref-format, and no way out of the folder in which the cache keeps its references
    if revision is not None and (
        not re.fullmatch(r"[^\s\x00-\x1f\x7f~^:?*\[\\@/.-][^\s\x00-\x1f\x7f~^:?*\[\\]{0,249}", revision)
        or re.search(r"\.\.|//|/\.|@\{|[/.]$", revision)
    ):
        raise ModelNotFoundError(f"'{revision:.100}' is no branch, tag or commit; write one that `git` would take")


def client() -> Any:
    """Make the Hub's client (`HfApi`), which says who asks. It follows HF_ENDPOINT, HF_TOKEN and HF_HOME."""
    import importlib.metadata

    from huggingface_hub import HfApi

    return HfApi(library_name="olmv", library_version=importlib.metadata.version("olmv"))


def download(repo: str, revision: str | None = None) -> Path:
    """Return the folder of a model on the Hub, fetched into the Hub's cache or found there; see `FILES`.

    Without a network, or with HF_HUB_OFFLINE=1, what was fetched before under this revision is used.

    Args:
        repo: ORG/REPO.
        revision: a branch, a tag or a commit; default: the main branch.

    Raises:
        ModelNotFoundError: no such repository or revision, or it is private.
        WeightsUnavailableError: it is gated, cannot be fetched and was not before, or the disk is full.
        ModelError: it holds no model that olmv reads; the message says what to do instead.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    check_repo(repo, revision)
    title = PREFIX + repo + (f"@{revision}" if revision else "")
    offline = constants.HF_HUB_OFFLINE
    with fetching():
        if constants.HF_HUB_OFFLINE:
            why = "HF_HUB_OFFLINE is set" if offline else f"{constants.ENDPOINT} does not answer"
            return _cached(title, repo, revision, why, "unset it to fetch" if offline else "get on line once")
        api = client()
        try:
            names = [file.rfilename for file in api.model_info(repo, revision=revision).siblings or ()]
        except (RepositoryNotFoundError, RevisionNotFoundError) as error:
            raise _refused(title, repo, revision, error) from None
        except Exception as error:  # hub, network and proxy errors have no common class
            return _cached(title, repo, revision, _why(error), "try again later")
        _check_listing(title, repo, names)
        configs = [name for name in names if name in _CONFIGS]
        files = [name for name in names if is_model_file(name)]
        try:
            folder = Path(api.snapshot_download(repo, revision=revision, allow_patterns=configs))
            _check_configs(title, repo, folder)
            # the commit, so that both are of one even while somebody pushes
            return Path(api.snapshot_download(repo, revision=folder.name, allow_patterns=files))
        except ModelError:
            raise
        except Exception as error:
            raise _refused(title, repo, revision, error) from None


def _cached(title: str, repo: str, revision: str | None, why: str, cure: str) -> Path:
    """Return the folder of a model that was fetched before.

    Raises:
        WeightsUnavailableError: nothing was, or not all of it.
        ModelError: as `download`.
    """
    from huggingface_hub import snapshot_download

    lacking = WeightsUnavailableError(
        f"'{title}' cannot be fetched ({why}) and is not in the cache; {cure}, or use the model olmv-lite, which "
        "ships with olmv",
        option="model",
    )
    try:
        # local_files_only asks for no network, whatever the switch says
        folder = Path(snapshot_download(repo, revision=revision, local_files_only=True, allow_patterns=list(FILES)))
    except OSError:  # "not found" and "incomplete" of the Hub's client are kinds of it
        raise lacking from None
    if not (folder / "config.json").is_file() or not (folder / "model.safetensors").is_file():
        raise lacking
    _check_configs(title, repo, folder)
    return folder


def _check_listing(title: str, repo: str, names: Iterable[str]) -> None:
    """Raise ModelError unless these files are a model's."""
    names = set(names)
    if "config.json" not in names:
        if "open_clip_config.json" in names:
            raise ModelError(f"'{title}' is an open_clip model; load it as hf-hub:{repo}")
        raise ModelError(f"'{title}' holds no config.json; name a model that olmv saved, or a Hugging Face X-CLIP")
    if "model.safetensors" in names:
        return
    if "model.safetensors.index.json" in names:
        raise ModelError(
            f"the weights of '{title}' are in several files (model.safetensors.index.json), and olmv reads one; save "
            "them as one with transformers: save_pretrained(DIR, max_shard_size='100GB')"
        )
    pickles = sorted(name for name in names if "/" not in name and name.endswith(_PICKLES))
    if pickles:
        name = "pytorch_model.bin" if "pytorch_model.bin" in pickles else pickles[0]
        raise ModelError(
            f"'{title}' has its weights as a pickle ({name}), which could hold code; "
            f"run: hf download {repo} --local-dir DIR, then: olmv models convert DIR/{name} -o MODEL"
        )
    raise ModelError(f"'{title}' holds no model.safetensors; name a repository with weights")


def _check_configs(title: str, repo: str, folder: Path) -> None:
    """Raise ModelError for a model of another kind, and for one that asks for code of its own to be run."""
    configs: dict[str, Any] = {}
    for name in _CONFIGS:
        if not (folder / name).is_file():
            continue
        configs[name] = read_json(folder / name, f"tell the authors of '{title}'")
    refuse_code(title, configs)
    config = configs["config.json"]
    if isinstance(config, dict) and ("format" in config or foreign_family(config) is not None):
        return
    kind = config.get("model_type") if isinstance(config, dict) else None
    cure = f"load it as hf-hub:{repo}" if "open_clip_config.json" in configs else "name a model of one of these kinds"
    raise ModelError(
        f"'{title}' ({kind or 'unknown'!r:.40}) is neither saved by olmv nor a Hugging Face X-CLIP; {cure}"
    )


def refuse_code(title: str, configs: Any) -> None:
    """Raise ModelError where what a model's files say (parsed JSON) would have a library run code that comes with it.

    open_clip hands what stands in tokenizer_kwargs to transformers; auto_map names the code to be fetched and run.
    """
    if _has_key(configs, "trust_remote_code") or _has_key(configs, "auto_map"):
        raise ModelError(
            f"'{title}' asks for code of its own to be run (a tokenizer), which olmv never does; use another"
        )


def _has_key(value: Any, key: str) -> bool:
    waiting = [value]  # without recursion: JSON may be nested more deeply than Python calls
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict):
            if key in inner:
                return True
            waiting += inner.values()
        elif isinstance(inner, list):
            waiting += inner
    return False


def _refused(title: str, repo: str, revision: str | None, error: Exception) -> ModelError:
    """Return the Hub's error as ours."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return WeightsUnavailableError(
            f"'{title}' is gated: ask for access on its page on the Hub, then log in with `hf auth login`"
        )
    if isinstance(error, RevisionNotFoundError):
        return ModelNotFoundError(
            f"'{repo}' has no revision '{revision or 'main'}'; name a branch, tag or commit of it"
        )
    if isinstance(error, RepositoryNotFoundError):
        return ModelNotFoundError(
            f"the Hub has no model '{repo}', or it is private; check the name, or log in with `hf auth login`"
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WeightsUnavailableError(
            f"'{title}' cannot be fetched: the disk is full; make room, or set HF_HOME to a folder on another disk"
        )
    return WeightsUnavailableError(f"'{title}' cannot be fetched ({_why(error)}); try again, what was fetched is kept")


def _why(error: BaseException) -> str:
    """Tell in few words why the Hub gave nothing; its client's messages are paragraphs."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return "the Hub does not accept the token; log in again with `hf auth login`"
    return f"the Hub answers {status}" if status is not None else reason(error)
