"""What the Dockerfiles and compose.yaml promise, read from the files: nothing is built here."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import olmv
from olmv.cli.app import app

REPO = Path(__file__).resolve().parent.parent
DOCKERFILES = ("Dockerfile", "Dockerfile.cuda")
HARDENED = ("read_only", "cap_drop", "security_opt", "pids_limit", "tmpfs")


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, each in one line."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in whole.splitlines())]


def environment_names(text: str) -> set[str]:
    """The variables of olmv's own that a text names."""
    return set(re.findall(r"\bOLMV_[A-Z_]+\b", text))


@cache
def known_names() -> set[str]:
    """The variables that olmv reads."""
    return set().union(*(environment_names(path.read_text("utf-8")) for path in (REPO / "olmv").rglob("*.py")))


def is_ignored(path: str, patterns: list[str]) -> bool:
    """Tell whether .dockerignore leaves a path out: the last pattern that fits it, or a folder above it, decides."""
    ignored = False
    above = [path, *map(str, Path(path).parents)][:-1]
    for pattern in patterns:
        bare = pattern.removeprefix("!").removeprefix("**/")
        if any(fnmatch(name, bare) for name in above) or fnmatch(Path(path).name, bare):
            ignored = not pattern.startswith("!")
    return ignored


def check_command(words: list[str]) -> str | None:
    """Say what is wrong with a command line of olmv, if anything is; nothing is run."""
    command = typer.main.get_command(app)
    try:
        command.commands[words[1]].make_context(words[1], words[2:])  # type: ignore[attr-defined]
    except Exception as failure:
        return f"{' '.join(words)}: {failure}"
    return None


def dockerfile_faults(text: str) -> list[str]:
    """What is wrong with a Dockerfile."""
    steps = instructions(text)
    arguments = dict(rest.partition("=")[::2] for name, rest in steps if name == "ARG")
    faults = [f"{name} is read by nobody" for name in environment_names(text) - known_names()]
    for name, rest in steps:
        if name == "FROM":
            image = re.sub(r"\$\{(\w+)\}", lambda match: arguments.get(match[1], ""), rest.split()[0])
            if ":" not in image or image.endswith(":latest"):
                faults.append(f"{image} has no version")
        if name == "COPY" and "--from" not in rest:
            faults += copy_faults(rest.split()[:-1])
        if name == "ADD":
            faults.append("ADD fetches and unpacks; use COPY")
        if name in ("ARG", "ENV") and re.search(r"TOKEN|PASSWORD|SECRET|_KEY", rest):
            faults.append(f"{rest} may hold a secret")
        if name == "RUN":
            faults += run_faults(rest)
    last = max(number for number, (name, _) in enumerate(steps) if name == "FROM")
    return faults + final_faults(steps[last:])


def copy_faults(sources: list[str]) -> list[str]:
    """What is wrong with what is copied."""
    lines = (REPO / ".dockerignore").read_text("utf-8").split("\n")
    patterns = [line for line in lines if line and not line.startswith("#")]
    faults = [f"{source} is not there" for source in sources if not (REPO / source).exists()]
    return faults + [f"{source} is ignored" for source in sources if is_ignored(source, patterns)]


def run_faults(line: str) -> list[str]:
    """What is wrong with what is run while the image is built."""
    faults = []
    for part in line.split("&&"):
        words = shlex.split(part)
        if words[:2] == ["pip", "install"] and "--no-deps" not in words and "constraints.txt" not in words:
            faults.append(f"{part.strip()} is not held by constraints.txt")
        if words[:2] == ["apt-get", "install"] and "--no-install-recommends" not in words:
            faults.append(f"{part.strip()} installs what is only recommended")
    if "apt-get install" in line and "rm -rf /var/lib/apt/lists" not in line:
        faults.append("apt's lists stay in the image")
    return faults


def final_faults(steps: list[tuple[str, str]]) -> list[str]:
    """What is wrong with the image itself: the last stage."""
    by_name, names = dict(steps), [name for name, _ in steps]
    faults = []
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", by_name.get("USER", "")):
        faults.append("it runs as root, or as a name")
    elif "RUN" in names[names.index("USER") :]:
        faults.append("it runs something after giving up root")
    if "http://127.0.0.1:8080/healthz" not in by_name.get("HEALTHCHECK", ""):
        faults.append("its health is not checked")
    if by_name.get("EXPOSE") != "8080":
        faults.append("it tells no port")
    variables = " ".join(rest for name, rest in steps if name == "ENV").split()
    for variable in ("HF_HOME=/models", "OLMV_CACHE=/cache/olmv", "HOME=/cache"):
        if variable not in variables:
            faults.append(f"{variable} is not set")
    fault = check_command(json.loads(by_name.get("CMD", '["olmv", "nothing"]')))
    return faults if fault is None else [*faults, fault]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_images_are_made_as_promised(name: str) -> None:
    assert dockerfile_faults((REPO / name).read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        (":3.11-slim-bookworm", ":latest", "python:latest has no version"),
        (":3.11-slim-bookworm", "", "python has no version"),
        ("COPY prompts ./prompts", "COPY nothing ./", "nothing is not there"),
        ("COPY prompts ./prompts", "COPY docs ./", "docs is ignored"),
        ("COPY prompts ./prompts", "ADD prompts ./prompts", "ADD fetches"),
        ("EXPOSE 8080", "ENV OLMV_TOKEN=x", "may hold a secret"),
        ("EXPOSE 8080", "ENV OLMV_CASH=x", "OLMV_CASH is read by nobody"),
        ("EXPOSE 8080", "EXPOSE 80", "it tells no port"),
        ("EXPOSE 8080", "RUN true", "after giving up root"),
        ("pip install -c constraints.txt -r", "pip install -r", "is not held by constraints.txt"),
        ("USER 10001:10001", "USER root", "runs as root"),
        ("USER 10001:10001", "USER 0:0", "runs as root"),
        ("USER 10001:10001\n", "", "runs as root"),
        ("/healthz", "/", "its health is not checked"),
        ('"--port", "8080"]', '"--prot", "8080"]', "--prot"),
        ("HF_HOME=/models", "HF_HOME=/root", "HF_HOME=/models is not set"),
        ("WORKDIR /data", "RUN apt-get install -y git", "apt's lists stay in the image"),
        ("WORKDIR /data", "RUN apt-get install -y git", "only recommended"),
    ],
)
def test_faults_of_an_image_are_found(before: str, after: str, fault: str) -> None:
    text = (REPO / "Dockerfile").read_text("utf-8")
    assert before in text
    faults = dockerfile_faults(text.replace(before, after))
    assert any(fault in found for found in faults), faults


def test_both_images_run_alike() -> None:
    kept = ("VOLUME", "WORKDIR", "USER", "EXPOSE", "CMD")
    cpu, cuda = (dict(instructions((REPO / name).read_text("utf-8"))) for name in DOCKERFILES)
    assert {name: cpu[name] for name in kept} == {name: cuda[name] for name in kept}


@pytest.mark.parametrize("name", DOCKERFILES)
def test_all_that_the_wheel_takes_is_copied(name: str) -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"], "LICENSE", "pyproject.toml"}
    steps = instructions((REPO / name).read_text("utf-8"))
    copied = {source for step, rest in steps if step == "COPY" for source in rest.split()[:-1]}
    assert needed <= copied
    for extra in ("serve", "openai"):  # the second for the vLLM beside it
        assert f'extras["{extra}"]' in (REPO / name).read_text("utf-8")
        assert extra in project["project"]["optional-dependencies"]


def test_nothing_else_is_sent_to_the_builder() -> None:
    patterns = [line for line in (REPO / ".dockerignore").read_text("utf-8").split("\n") if line and line[0] != "#"]
    assert patterns[0] == "*"
    for left_out in (".git", ".venv", "out", "runs", "docs", "tests", ".env", "olmv/__pycache__", "olmv/io/x.pyc"):
        assert is_ignored(left_out, patterns), left_out
    for sent in ("olmv", "olmv/io/atomic.py", "prompts/x.yaml", "pyproject.toml", "olmv/models/olmv-lite/config.json"):
        assert not is_ignored(sent, patterns), sent


def compose() -> dict[str, Any]:
    """The services of compose.yaml and their volumes."""
    document: dict[str, Any] = yaml.safe_load((REPO / "compose.yaml").read_text("utf-8"))
    return document


@pytest.mark.parametrize("name", ["olmv", "olmv-cuda", "vllm"])
def test_services_are_hardened(name: str) -> None:
    service = compose()["services"][name]
    assert all(service.get(key) for key in HARDENED)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "user", "devices"} & set(service)
    image, _, tag = service["image"].rpartition(":")
    assert image
    assert tag not in ("", "latest")
    assert "healthcheck" in service or "build" in service  # the images have their own


def test_only_this_machine_reaches_the_page_and_nobody_the_language_model() -> None:
    services = compose()["services"]
    assert services["olmv"]["ports"] == services["olmv-cuda"]["ports"] == ["127.0.0.1:8080:8080"]
    assert "ports" not in services["vllm"]
    assert {name: service.get("profiles") for name, service in services.items()} == {
        "olmv": None,
        "olmv-cuda": ["cuda"],
        "vllm": ["vllm"],
    }


def test_services_are_of_this_version_and_this_repository() -> None:
    services = compose()["services"]
    for name, file, suffix in (("olmv", "Dockerfile", ""), ("olmv-cuda", "Dockerfile.cuda", "-cuda")):
        assert services[name]["build"] == {"context": ".", "dockerfile": file}
        assert services[name]["image"] == f"olmv:{olmv.__version__}{suffix}"
        assert check_command(services[name]["command"]) is None


def test_the_guides_own_command_can_be_called() -> None:
    text = (REPO / "docs" / "guides" / "deploy.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert check_command(yaml.safe_load(block)["services"]["olmv"]["command"]) is None
    for line in re.findall(r"docker compose run --rm olmv (olmv [^`]+)`", text):
        assert check_command(shlex.split(line)) is None


def test_every_variable_and_volume_is_known() -> None:
    document = compose()
    text = (REPO / "compose.yaml").read_text("utf-8")
    assert environment_names(text) <= known_names()
    assert {"OLMV_TOKEN", "OLMV_MODEL"} <= environment_names(text)
    named: set[str] = set()
    folders: dict[str, set[str]] = {}
    for name, service in document["services"].items():
        for volume in service["volumes"]:
            source, folder = re.fullmatch(r"(\$\{.+\}|[^:]+):(/[^:]*)(?::ro)?", volume).groups()  # type: ignore[union-attr]
            folders.setdefault(name, set()).add(folder)
            if source[0] not in "$./":
                named.add(source)
    assert named == set(document["volumes"])
    volumes = dict(instructions((REPO / "Dockerfile").read_text("utf-8")))["VOLUME"]
    assert set(json.loads(volumes)) | {"/videos"} == folders["olmv"] == folders["olmv-cuda"]


def test_videos_cannot_be_written() -> None:
    assert all(
        volume.endswith(":ro")
        for service in compose()["services"].values()
        for volume in service["volumes"]
        if "/videos" in volume
    )


def test_hadolint_finds_no_fault() -> None:
    hadolint = shutil.which("hadolint") or shutil.which(str(Path(sys.executable).parent / "hadolint"))
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, *DOCKERFILES], cwd=REPO, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("builder", ["podman", "docker", None])
def test_images_are_built_where_a_builder_can_get_their_base(builder: str | None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for name in ("podman", "buildah", "docker"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {log}\n[ "$1" != pull ] || [ {name} = {builder} ]\n')
        program.chmod(0o755)
    script = REPO / "scripts" / "tools" / "check_containers"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run([script], env=environment, capture_output=True, text=True, check=True)
    calls = log.read_text().splitlines()
    built = [call for call in calls if " build " in call]
    runs = [call for call in calls if " run " in call]
    assert calls[0] == "podman pull docker.io/library/python:3.11-slim-bookworm"
    if builder is None:
        assert (built, runs) == ([], [])
        assert "not built: no builder here can get the base image" in done.stdout
        return
    kind = "" if builder == "docker" else "--format docker "
    assert built == [f"{builder} build {kind}-f Dockerfile -t olmv:{olmv.__version__} ."]
    assert len(runs) == 1
    assert "--read-only --cap-drop ALL" in runs[0]
    assert done.stdout.endswith(f"built with {builder}\n")
