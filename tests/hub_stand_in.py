"""A stand-in of the Hub's HTTP interface on 127.0.0.1, as huggingface_hub calls it to make a model and upload files.

    with HubStandIn() as hub:
        ...HF_ENDPOINT=hub.url...
        hub.repos["me/my-model"].files["README.md"]

Bodies of files that the Hub keeps in git come with the commit, large ones by the Git LFS protocol ("basic" transfer);
the checks are those that the real one makes of both. Uploads by Xet need a store that speaks its own protocol: set
HF_HUB_DISABLE_XET=1.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import yaml

OWNER, TOKEN = "me", "hf_standinstandinstandin"
LARGE = (".safetensors", ".onnx")


@dataclass
class Repo:
    """One model: who may see it and its files."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)


class HubStandIn:
    """The server, on a free port; `calls` are the requests it got (method and path), `strange` those it has no answer
    for."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.stored: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.strange: list[str] = []
        self.fails_at = ""
        """A call whose path contains this gets a 500."""
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> HubStandIn:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: HubStandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_HEAD = do_GET

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            body = self._read_chunks()
        path = self.path.partition("?")[0]
        self.hub.calls.append(f"{self.command} {path}")
        if self.hub.fails_at and self.hub.fails_at in path:
            self._answer(500, {"error": "Out of order"})
        elif path.startswith("/lfs/"):
            self._store(path.removeprefix("/lfs/"), body)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error": "Invalid credentials"})
        else:
            self._route(path, body)

    def _read_chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _route(self, path: str, body: bytes) -> None:
        routes: dict[str, Callable[[bytes], None]] = {
            "/api/repos/create": self._create,
            "/api/validate-yaml": self._validate,
            "/api/whoami-v2": lambda _: self._answer(200, {"name": OWNER, "type": "user"}),
        }
        if path in routes:
            routes[path](body)
            return
        for name, repo in self.hub.repos.items():
            rest = path.removeprefix(f"/api/models/{name}")
            if rest != path and rest in ("", "/revision/main"):
                self._answer(200, self._described(name, repo))
                return
            if rest == "/preupload/main":
                self._preupload(body)
                return
            if rest == "/commit/main":
                self._commit(name, repo, body)
                return
            if path == f"/{name}.git/info/lfs/objects/batch":
                self._batch(body)
                return
        if path.endswith((".gitignore", ".gitattributes")):
            self._answer(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
            return
        self.hub.strange.append(f"{self.command} {path}")
        self._answer(404, {"error": "Not found"})

    def _create(self, body: bytes) -> None:
        asked = json.loads(body)
        owner = asked.get("organization") or OWNER
        name = f"{owner}/{asked['name']}"
        if owner != OWNER:
            self._answer(403, {"error": f"You don't have the rights to create a model under the namespace {owner}"})
        elif name in self.hub.repos:
            self._answer(409, {"error": "You already created this model repo", "url": f"{self.hub.url}/{name}"})
        else:
            private = asked.get("private", False) or asked.get("visibility") == "private"
            self.hub.repos[name] = Repo(private, {".gitattributes": b""})
            self._answer(200, {"url": f"{self.hub.url}/{name}", "name": name, "id": "1"})

    def _validate(self, body: bytes) -> None:
        """As the Hub does: the metadata must be YAML, and a model-index must name task, data set and metrics."""
        asked = json.loads(body)
        errors = []
        try:
            _, block, _ = asked["content"].split("---\n", 2)
            for result in (yaml.safe_load(block).get("model-index") or [{}])[0].get("results", []):
                if not (result["task"]["type"] and result["dataset"]["type"] and result["dataset"]["name"]):
                    raise ValueError("a result needs a task and a data set")
                if any(metric["type"] is None or metric["value"] is None for metric in result["metrics"]):
                    raise ValueError("a metric needs a type and a value")
        except (ValueError, KeyError, AttributeError, yaml.YAMLError) as error:
            errors = [{"message": f"{type(error).__name__}: {error}"}]
        self._answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def _described(self, name: str, repo: Repo) -> dict[str, Any]:
        files = [{"rfilename": file} for file in repo.files]
        return {"id": name, "modelId": name, "private": repo.private, "siblings": files, "tags": [], "sha": "0" * 40}

    def _preupload(self, body: bytes) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self._answer(200, {"files": files})

    def _batch(self, body: bytes) -> None:
        objects = []
        for wanted in json.loads(body)["objects"]:
            upload = {"href": f"{self.hub.url}/lfs/{wanted['oid']}", "header": {}}
            objects.append({"oid": wanted["oid"], "size": wanted["size"], "actions": {"upload": upload}})
        self._answer(200, {"transfer": "basic", "objects": objects})

    def _store(self, oid: str, body: bytes) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            self._answer(400, {"error": "SHA-256 differs"})
            return
        self.hub.stored[oid] = body
        self._answer(200, {})

    def _commit(self, name: str, repo: Repo, body: bytes) -> None:
        for line in body.splitlines():
            record = json.loads(line)
            value = record["value"]
            match record["key"]:
                case "header":
                    repo.messages.append(value["summary"])
                case "file":
                    repo.files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    content = self.hub.stored[value["oid"]]
                    assert len(content) == value["size"]
                    repo.files[value["path"]] = content
                case other:
                    self.hub.strange.append(f"commit of {other}")
        self._answer(200, {"success": True, "commitOid": "1" * 40, "commitUrl": f"{self.hub.url}/{name}/commit/1"})

    def _answer(self, status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
