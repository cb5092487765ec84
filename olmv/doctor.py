"""What `olmv doctor` finds out: packages, decoders, device and dtype, models that load without a network."""

import os
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from olmv.errors import ModelError

# What an extra is for; extras that are not named here (dev, all) bring nothing of their own.
_USES = {
    "evaluate": "evaluate and calibrate",
    "train": "the curves of train",
    "torchcodec": "a third decoder",
    "openai": "describe-labels through a server",
    "transformers": "describe-labels with transformers",
    "vllm": "describe-labels with vLLM's own engine",
    "xlsx": "predict to .xlsx",
    "onnx": "predict --runtime onnx, --dtype int8, models export",
    "openvino": "predict --runtime openvino",
}
# Dependencies that some machines cannot have: a prediction does without.
_NOT_EVERYWHERE = {"decord": "a second decoder"}

_SHIPPED = {
    "olmv-lite": "ships with olmv; sees real footage, things and scenes better than actions",
    "olmv-mini": "ships with olmv; knows drawings, not footage: for trying things out, not for real video",
}


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis: a name, a text, and whether that is bad for a prediction."""

    name: str
    text: str
    bad: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """The findings, in sections, and the verdict.

    Attributes:
        sections: title -> findings.
        ready: a prediction can run.
        verdict: one or two sentences that end with what to do.
    """

    sections: dict[str, list[Finding]]
    ready: bool
    verdict: str


def diagnose() -> Diagnosis:
    """Look at the installation. Reads files only: no network, no weights are loaded."""
    packages = _packages()
    if any(finding.bad for finding in packages):
        missing = ", ".join(finding.name for finding in packages if finding.bad)
        verdict = f"Not ready: {missing} missing. Run: pip install --upgrade olmv"
        return Diagnosis({"packages": packages}, ready=False, verdict=verdict)
    decoders = _decoders()
    models, default_here, lite_here = _models()
    sections = {
        "packages": packages,
        "decoders": decoders,
        "device": _device(),
        "models that load offline": models,
    }
    bad = [finding for findings in sections.values() for finding in findings if finding.bad]
    if bad:
        return Diagnosis(sections, ready=False, verdict=f"Not ready: {bad[0].name}: {bad[0].text}")
    return Diagnosis(sections, ready=True, verdict=_verdict(default_here=default_here, lite_here=lite_here))


def offline_open_clip_models() -> list[str]:
    """List the names `ARCH/PRETRAINED` whose weights lie in the Hugging Face cache or in open_clip's own."""
    import open_clip
    from huggingface_hub import try_to_load_from_cache

    files = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    models = []
    for architecture, tag in open_clip.list_pretrained():
        config = open_clip.get_pretrained_cfg(architecture, tag)
        repo, file = os.path.split(config.get("hf_hub") or "")  # "ORG/REPO/" or "ORG/REPO/FILE"
        names = (file,) if file else files
        in_hub = repo and any(isinstance(try_to_load_from_cache(repo, name), str) for name in names)
        url = config.get("url") or ""
        if in_hub or (url and (Path.home() / ".cache" / "clip" / Path(url).name).is_file()):
            models.append(f"{architecture}/{tag}")
    return models


def offline_hub_models() -> list[str]:
    """List the names `hf:ORG/REPO[@REVISION]` of the models in the Hugging Face cache that olmv reads."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    from olmv.models.storage.folder import read_config

    try:
        repositories = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return []
    models = []
    for repository in repositories:
        for revision in repository.revisions:
            folder = revision.snapshot_path
            try:
                usable = (folder / "model.safetensors").is_file() and bool(read_config(folder))
            except ModelError:
                usable = False
            names = [f"hf:{repository.repo_id}" + ("" if ref == "main" else f"@{ref}") for ref in revision.refs]
            models += names if usable else []
    return sorted(models)


def _packages() -> list[Finding]:
    """Look at every package that olmv's own metadata names: what a prediction needs, then what an extra brings."""
    needed, optional = requirements()
    findings = [Finding("olmv", metadata.version("olmv"))]
    for name in needed:
        version = _version(name)
        findings.append(Finding(name, version or "missing", bad=version is None))
    return findings + [Finding(name, _version(name) or f"not installed ({use})") for name, use in optional.items()]


def requirements() -> tuple[list[str], dict[str, str]]:
    """Read from olmv's metadata which packages it needs on this machine, and which are optional.

    Returns:
        The names of what a prediction needs; and name -> what it is for and how to get it.
    """
    needed: list[str] = []
    optional: dict[str, str] = {}
    for requirement in map(Requirement, metadata.requires("olmv") or ()):
        name = requirement.name
        if requirement.marker is None:
            needed.append(name)
        elif requirement.marker.evaluate({"extra": ""}):
            optional[name] = _NOT_EVERYWHERE.get(name, "not to be had on every machine")
        else:
            extras = [extra for extra in _USES if requirement.marker.evaluate({"extra": extra})]
            for extra in extras:
                optional.setdefault(name, f"{_USES[extra]}: pip install 'olmv[{extra}]'")
    return needed, optional


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _decoders() -> list[Finding]:
    from olmv.video.readers.open import available_decoders

    findings = []
    for name, version in available_decoders().items():
        used = " (used by --decoder auto)" if name == "pyav" else ""
        text = f"{version}{used}" if version else "not usable here"
        findings.append(Finding(name, text, bad=name == "pyav" and version is None))
    return findings


def _device() -> list[Finding]:
    import torch

    from olmv.devices import choose

    placement = choose()
    return [
        Finding("device", f"{placement.device}: {placement.device_reason}"),
        Finding("dtype", f"{placement.dtype_name}: {placement.dtype_reason}"),
        Finding("threads", _threads(torch.get_num_threads())),
    ]


def _threads(encoding: int) -> str:
    from olmv.video.options import usable_cores

    passive = os.environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE"
    why = (
        "they share the cores, since threads that wait sleep"
        if passive
        else "threads that wait keep their cores busy; set OMP_WAIT_POLICY=PASSIVE before torch is imported"
    )
    return f"{encoding} encode, {usable_cores()} processes decode: {why}"


def _models() -> tuple[list[Finding], bool, bool]:
    from olmv.models.registry import DEFAULT_MODEL, LITE, SHIPPED

    whole = {name: (folder / "model.safetensors").is_file() for name, folder in SHIPPED.items()}
    findings = [
        Finding(name, _SHIPPED[name] if here else "its weights are missing from this installation")
        for name, here in whole.items()
    ]
    here = offline_open_clip_models() + offline_hub_models()
    findings += [Finding(name, "in the cache" + ("; the default" if name == DEFAULT_MODEL else "")) for name in here]
    if DEFAULT_MODEL not in here:
        findings.append(Finding(DEFAULT_MODEL, "the default: not here yet, fetched from the hub when first used"))
    return findings, DEFAULT_MODEL in here, whole[LITE]


def _verdict(*, default_here: bool, lite_here: bool) -> str:
    if default_here:
        return 'Ready, also offline. Try: olmv predict clips/ --labels "dog, guitar, rain"'
    offline = " Without a network olmv-lite runs in its place." if lite_here else ""
    return f"Ready; the default model's weights will be fetched when first used.{offline}"
