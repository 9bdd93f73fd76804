"""A Hugging Face Hub of one process: the requests that ``huggingface_hub`` makes for models, answered from a dict."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

WRITER, READER = "hf_writer", "hf_reader"
"""Tokens: one may write, the other may only read."""
REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"


@dataclass
class Repo:
    """A repository: its commits in order, by hash, each with the contents of all files."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        content = json.dumps([len(self.commits), sorted((name, _sha256(data)) for name, data in files.items())])
        sha = hashlib.sha1(content.encode()).hexdigest()
        self.commits[sha] = files
        return sha

    def resolve(self, revision: str) -> str | None:
        if revision == "main":
            return list(self.commits)[-1] if self.commits else None
        return revision if revision in self.commits else None


class FakeHub:
    """The server and its repositories. ``silence`` is how long it waits before each answer, in seconds."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.silence = 0.0
        hub = self

        class Handler(_Handler):
            fake = hub

        self.server = _QuietServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def files(self, repo: str) -> dict[str, bytes]:
        """Return the files of the last commit of a repository."""
        return list(self.repos[repo].commits.values())[-1]

    def put(self, repo: str, files: dict[str, bytes]) -> str:
        """Commit files to a repository, without a request; return the commit."""
        return self.repos.setdefault(repo, Repo()).commit(files)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _QuietServer(ThreadingHTTPServer):
    """Does not report clients that disconnect early."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    fake: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""

    def _answer(self) -> None:
        self.body = self._body()
        self.fake.requests.append(f"{self.command} {self.path}")
        time.sleep(self.fake.silence)
        path = unquote(urlsplit(self.path).path)
        for method, pattern, action in ROUTES:
            found = re.fullmatch(pattern, path)
            if found is not None and self.command in method.split("|"):
                return action(self, **found.groupdict())
        return self._send(404, {"error": "no such page"})

    do_GET = do_HEAD = do_POST = do_PUT = _answer

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while (size := int(self.rfile.readline(), 16)) > 0:
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _token(self) -> str:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def _send(self, status: int, content: Any = b"", **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _fail(self, status: int, code: str, message: str) -> None:
        headers = {"X_Error_Code": code} if code else {}
        self._send(status, {"error": message}, X_Error_Message=message, **headers)

    def _may_write(self) -> bool:
        if self._token() == WRITER:
            return True
        if self._token() == READER:
            self._fail(403, "", "the token has no write access")
        else:
            self._fail(401, "", "Invalid username or password.")
        return False

    def _readable(self, repo: str) -> Repo | None:
        found = self.fake.repos.get(repo)
        if found is None or (found.private and self._token() not in (WRITER, READER)):
            self._fail(401 if not self._token() else 404, "RepoNotFound", "Repository not found")
            return None
        if found.gated:
            self._fail(403, "GatedRepo", "Access is restricted")
            return None
        return found

    def create(self) -> None:
        if not self._may_write():
            return None
        asked = json.loads(self.body)
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        answer = {"url": f"{self.fake.url}/{name}", "name": name, "id": name}
        if name in self.fake.repos:
            return self._send(409, answer)
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.fake.repos[name] = Repo(private=private)
        self.fake.repos[name].commit({".gitattributes": b"*.ckpt filter=lfs\n"})
        return self._send(200, answer)

    def info(self, repo: str, revision: str = "main") -> None:
        if (found := self._readable(repo)) is None:
            return None
        if (sha := found.resolve(revision)) is None:
            return self._fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        siblings = [{"rfilename": name} for name in found.commits[sha]]
        return self._send(
            200, {"id": repo, "modelId": repo, "sha": sha, "private": found.private, "tags": [], "siblings": siblings}
        )

    def tree(self, repo: str, revision: str) -> None:
        if (found := self._readable(repo)) is None:
            return None
        if (sha := found.resolve(revision)) is None:
            return self._fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return self._send(200, [_entry(name, data) for name, data in found.commits[sha].items()])

    def file(self, repo: str, revision: str, name: str) -> None:
        if (found := self._readable(repo)) is None:
            return None
        if (sha := found.resolve(revision)) is None or name not in found.commits[sha]:
            return self._fail(404, "EntryNotFound", "Entry not found")
        data = found.commits[sha][name]
        return self._send(200, data, ETag=f'"{_sha256(data)}"', X_Repo_Commit=sha)

    def validate(self) -> None:
        self._send(200, {"errors": [], "warnings": []})

    def preupload(self, repo: str) -> None:
        if not self._may_write():
            return
        modes = [
            {"path": file["path"], "uploadMode": _mode(file["path"]), "shouldIgnore": False}
            for file in json.loads(self.body)["files"]
        ]
        self._send(200, {"files": modes})

    def batch(self, repo: str) -> None:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.fake.url}/objects/{each['oid']}"}}}
            for each in json.loads(self.body)["objects"]
        ]
        self._send(200, {"transfer": "basic", "objects": objects})

    def store(self, oid: str) -> None:
        if _sha256(self.body) != oid:
            return self._send(400, {"error": "the content is not what its hash says"})
        self.fake.objects[oid] = self.body
        return self._send(200)

    def commit(self, repo: str) -> None:
        if not self._may_write():
            return
        files = dict(self.fake.files(repo))
        for line in filter(None, self.body.splitlines()):
            key, value = (json.loads(line)[name] for name in ("key", "value"))
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.fake.objects[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        sha = self.fake.repos[repo].commit(files)
        self._send(200, {"success": True, "commitOid": sha, "commitUrl": f"{self.fake.url}/{repo}/commit/{sha}"})


ROUTES = [
    ("POST", r"/api/repos/create", _Handler.create),
    ("POST", r"/api/validate-yaml", _Handler.validate),
    ("GET", rf"/api/models/{REPO}", _Handler.info),
    ("GET", rf"/api/models/{REPO}/revision/(?P<revision>.+)", _Handler.info),
    ("GET", rf"/api/models/{REPO}/tree/(?P<revision>[^/]+)", _Handler.tree),
    ("POST", rf"/api/models/{REPO}/preupload/main", _Handler.preupload),
    ("POST", rf"/api/models/{REPO}/commit/main", _Handler.commit),
    ("POST", rf"/{REPO}\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", r"/objects/(?P<oid>\w+)", _Handler.store),
    ("GET|HEAD", rf"/{REPO}/resolve/(?P<revision>[^/]+)/(?P<name>.+)", _Handler.file),
]


def _mode(path: str) -> str:
    return "lfs" if path.endswith(".ckpt") else "regular"


def _entry(name: str, data: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    entry: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": blob}
    if _mode(name) == "lfs":
        entry["lfs"] = {"oid": _sha256(data), "size": len(data), "pointerSize": 130}
    return entry


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
