"""A stand-in for the Hugging Face Hub on 127.0.0.1, to which the real client talks.

Repositories of models with branches and commits, small files in the commit and large ones by LFS, tokens, gated and
private repositories. Every commit is a folder: ROOT/ORG/REPO/COMMIT/.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest

WRITER, READER = "hf_writer", "hf_reader"
LFS = (".safetensors", ".bin", ".model")


@dataclass
class Repo:
    """One repository: branch or tag -> commit."""

    private: bool = False
    gated: bool = False
    refs: dict[str, str] = field(default_factory=dict)


class HubServer:
    """The server; use it as a context. `url` is what HF_ENDPOINT takes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repos: dict[str, Repo] = {}
        self.requests: list[str] = []  # "GET /api/models/..."
        self.messages: list[str] = []  # of the commits
        self.agents: set[str] = set()
        self.answer_all: tuple[int, str] | None = None  # a status and a message for every request
        self.full = False  # no room for uploads
        self._lock = threading.Lock()
        (root / "lfs").mkdir(parents=True)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.elsewhere = f"http://localhost:{self._server.server_port}"  # where large files lie: another host

    def __enter__(self) -> "HubServer":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Nothing answers any more. May be called twice."""
        self._server.shutdown()
        self._server.server_close()

    def files(self, repo: str, revision: str = "main") -> dict[str, Path]:
        """Path in the repository -> file."""
        folder = self.root / repo / self.commit_of(repo, revision)
        return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}

    def commit_of(self, repo: str, revision: str) -> str:
        """The commit of a branch, or KeyError."""
        if (self.root / repo / revision).is_dir() and re.fullmatch(r"[0-9a-f]{40}", revision):
            return revision
        return self.repos[repo].refs[revision]

    def add(self, repo: str, files: dict[str, bytes], *, branch: str = "main", **options: Any) -> str:
        """Commit these files, to a repository that is made if need be; return the commit."""
        with self._lock:
            self.repos.setdefault(repo, Repo(**options))
            return self.commit(repo, branch, files, [])

    def commit(self, repo: str, branch: str, files: dict[str, bytes], deleted: list[str]) -> str:
        """Commit the branch's files and these; return the commit."""
        refs = self.repos[repo].refs
        content = hashlib.sha1(repr((branch, sorted(files), len(self.messages), refs)).encode() + os.urandom(8))
        commit = content.hexdigest()
        folder = self.root / repo / commit
        if branch in refs:
            shutil.copytree(self.root / repo / refs[branch], folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        for name in deleted:
            (folder / name).unlink()
        refs[branch] = commit
        return commit


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._handle()

    def do_GET(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def _handle(self) -> None:
        body = self._body()
        path = urlparse(self.path).path
        self.hub.requests.append(f"{self.command} {path}")
        self.hub.agents.add(self.headers.get("User-Agent", ""))
        if self.hub.answer_all is not None:
            self._error(self.hub.answer_all[0], "", self.hub.answer_all[1])
            return
        for pattern, method in _ROUTES.items():
            if match := re.fullmatch(pattern, path):
                getattr(self, method)(body, **{k: unquote(v) for k, v in match.groupdict().items() if v})
                return
        self._error(404, "", f"no such page: {path}")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, status: int, content: Any = None, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _error(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self._send(status, {"error": message}, headers)

    @property
    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _may_write(self) -> bool:
        if self._token == WRITER:
            return True
        if self._token:
            self._error(403, "", "you don't have the rights to write here")
        else:
            self._error(401, "", "Invalid username or password.")
        return False

    def _commit(self, repo: str, revision: str, *, content: bool = False) -> str | None:
        """The commit; None after an error was sent. `content`: not only the listing, which is open to all."""
        known = self.hub.repos.get(repo)
        if known is None or (known.private and not self._token):
            self._error(401 if not self._token else 404, "RepoNotFound", "Repository not found")
        elif known.gated and not self._token and content:
            self._error(401, "GatedRepo", "Access to this model is restricted")
        else:
            try:
                return self.hub.commit_of(repo, revision)
            except KeyError:
                self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return None

    def create(self, body: bytes) -> None:
        if not self._may_write():
            return None
        asked = json.loads(body)
        repo = f"{asked['organization']}/{asked['name']}"
        if repo in self.hub.repos:
            return self._send(409, {"error": "You already created this model repo", "url": f"{self.hub.url}/{repo}"})
        self.hub.add(repo, {".gitattributes": b""}, private=asked.get("visibility") == "private")
        return self._send(200, {"url": f"{self.hub.url}/{repo}", "name": repo, "id": "1"})

    def info(self, _: bytes, repo: str, revision: str = "main") -> None:
        if commit := self._commit(repo, revision):
            listed = [{"rfilename": name} for name in self.hub.files(repo, commit)]
            kept = self.hub.repos[repo]
            told = {"_id": "1", "id": repo, "modelId": repo, "sha": commit, "private": kept.private, "tags": []}
            self._send(200, told | {"siblings": listed, "downloads": 0, "likes": 0, "gated": kept.gated})

    def tree(self, _: bytes, repo: str, revision: str) -> None:
        if commit := self._commit(repo, revision):
            rows = []
            for name, path in self.hub.files(repo, commit).items():
                data = path.read_bytes()
                row: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": _git(data)}
                if name.endswith(LFS):
                    row["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
                rows.append(row)
            self._send(200, rows)

    def branch(self, _: bytes, repo: str, revision: str) -> None:
        if not self._may_write():
            return None
        refs = self.hub.repos[repo].refs
        if revision in refs:
            return self._send(409, {"error": "Reference already exists"})
        shutil.copytree(self.hub.root / repo / refs["main"], self.hub.root / repo / (made := os.urandom(20).hex()))
        refs[revision] = made
        return self._send(200, {})

    def preupload(self, body: bytes, repo: str, revision: str) -> None:
        if not self._may_write() or not (commit := self._commit(repo, revision)):
            return
        there = self.hub.files(repo, commit)
        rows = []
        for file in json.loads(body)["files"]:
            mode, name = "lfs" if file["path"].endswith(LFS) else "regular", file["path"]
            old = there[name].read_bytes() if name in there else None
            oid = None if old is None else hashlib.sha256(old).hexdigest() if mode == "lfs" else _git(old)
            rows.append({"path": name, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._send(200, {"files": rows})

    def batch(self, body: bytes, repo: str) -> None:
        if self._may_write() and repo in self.hub.repos:
            objects = [
                {"oid": o["oid"], "size": o["size"], "actions": {"upload": {"href": f"{self.hub.url}/lfs/{o['oid']}"}}}
                for o in json.loads(body)["objects"]
            ]
            self._send(200, {"transfer": "basic", "objects": objects})

    def upload(self, body: bytes, oid: str) -> None:
        if self.hub.full:
            return self._error(507, "", "no room")
        if hashlib.sha256(body).hexdigest() != oid:
            return self._error(400, "", "the content is not what was announced")
        (self.hub.root / "lfs" / oid).write_bytes(body)
        return self._send(200)

    def commit(self, body: bytes, repo: str, revision: str) -> None:
        if not self._may_write():
            return
        files: dict[str, bytes] = {}
        deleted: list[str] = []
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                self.hub.messages.append(value["summary"])
            elif item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = (self.hub.root / "lfs" / value["oid"]).read_bytes()
            elif item["key"] == "deletedFile":
                deleted.append(value["path"])
        made = self.hub.commit(repo, revision, files, deleted)
        self._send(200, {"commitUrl": f"{self.hub.url}/{repo}/commit/{made}", "commitOid": made, "success": True})

    def validate(self, body: bytes) -> None:
        """The Hub takes a card only if its metadata can be read."""
        import yaml

        content = json.loads(body)["content"]
        try:
            found = re.match(r"---\n(.*?)\n---", content, re.DOTALL)
            assert found is None or isinstance(yaml.safe_load(found[1]), dict)
        except (yaml.YAMLError, AssertionError) as error:
            return self._send(400, {"errors": [{"message": f"bad YAML: {error}"}], "warnings": []})
        return self._send(200, {"errors": [], "warnings": []})

    def resolve(self, _: bytes, repo: str, revision: str, path: str) -> None:
        if not (commit := self._commit(repo, revision, content=True)):
            return None
        file = self.hub.files(repo, commit).get(path)
        if file is None:
            return self._error(404, "EntryNotFound", "Entry not found")
        data = file.read_bytes()
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_git(data)}"'}
        if path.endswith(LFS):  # as the Hub: elsewhere, under its content's name
            oid = hashlib.sha256(data).hexdigest()
            (self.hub.root / "lfs" / oid).write_bytes(data)
            headers |= {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(data))}
            return self._send(302, b"", headers | {"Location": f"{self.hub.elsewhere}/cdn/{oid}"})
        return self._send(200, data, headers)

    def cdn(self, _: bytes, oid: str) -> None:
        self._send(200, (self.hub.root / "lfs" / oid).read_bytes(), {"ETag": f'"{oid}"'})


_REPO = r"(?P<repo>[^/]+/[^/]+)"
_ROUTES = {
    r"/api/repos/create": "create",
    rf"/api/models/{_REPO}(/revision/(?P<revision>[^/]+))?": "info",
    rf"/api/models/{_REPO}/tree/(?P<revision>[^/]+)": "tree",
    rf"/api/models/{_REPO}/branch/(?P<revision>[^/]+)": "branch",
    rf"/api/models/{_REPO}/preupload/(?P<revision>[^/]+)": "preupload",
    rf"/api/models/{_REPO}/commit/(?P<revision>[^/]+)": "commit",
    r"/api/validate-yaml": "validate",
    rf"/{_REPO}\.git/info/lfs/objects/batch": "batch",
    r"/lfs/(?P<oid>[0-9a-f]{64})": "upload",
    r"/cdn/(?P<oid>[0-9a-f]{64})": "cdn",
    rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)": "resolve",
}


def _git(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@contextmanager
def client_at(url: str, cache: Path, patch: pytest.MonkeyPatch, *, token: str | None = WRITER) -> Iterator[None]:
    """The client of this process, made to ask `url`: it reads the environment once, when it is imported."""
    from huggingface_hub import close_session, constants

    patch.setattr(constants, "ENDPOINT", url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setattr(constants, "HF_HUB_CACHE", str(cache))
    patch.setattr(constants, "HF_TOKEN_PATH", str(cache / "no-token"))
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in (*PROXIES, "HUGGING_FACE_HUB_TOKEN"):
        patch.delenv(name, raising=False)
    if token is None:
        patch.delenv("HF_TOKEN", raising=False)
    else:
        patch.setenv("HF_TOKEN", token)
    close_session()
    yield
    close_session()


def environment(url: str, cache: Path, *, token: str | None = WRITER) -> dict[str, str]:
    """For a process of its own."""
    kept = {k: v for k, v in os.environ.items() if k not in PROXIES and not k.startswith("HF_")}
    made = {"HF_ENDPOINT": url, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"}
    return kept | made | ({"HF_TOKEN": token} if token else {})
