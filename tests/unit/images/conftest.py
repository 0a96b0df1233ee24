"""A registry in Python, written from the distribution specification, that can be as awkward as real ones are."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mlinfra.images.content import canonical, digest_of
from mlinfra.images.layer import file_entry, pack
from mlinfra.images.login import anonymous
from mlinfra.images.reference import Reference
from mlinfra.images.registry import Registry
from mlinfra.images.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATH = re.compile(r"/v2/(?P<repository>.+?)/(?P<kind>manifests|blobs)/(?P<name>[^/]*(?:/.*)?)")
OCI = "application/vnd.oci.image"


class Store:
    """What a registry holds, and how it behaves."""

    def __init__(self) -> None:
        self.blobs: dict[str, dict[str, bytes]] = {}  # repository -> digest -> bytes
        self.manifests: dict[str, dict[str, tuple[bytes, str]]] = {}  # repository -> tag or digest -> bytes, kind
        self.log: list[tuple[str, str, str]] = []  # method, path, Authorization
        self.basic: str = ""  # user:password that every request needs
        self.bearer = False  # tokens by scope
        self.user: str = ""  # user:password that the token service needs
        self.identity = ""  # the refresh token that it takes instead
        self.failures = 0  # answers 503 to so many requests
        self.mounts = True
        self.redirects = False  # blobs are read elsewhere
        self.immutable = False
        self.patches = False  # takes bytes in a PATCH alone
        self.patched = b""
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815  names that http.server asks for

    def _serve(self) -> None:
        store, url = self.store, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        with store.lock:
            store.log.append((self.command, self.path, self.headers.get("authorization", "")))
            if url.path.startswith("/elsewhere/"):
                return self._elsewhere(url.path)
            if url.path in ("/token", "/oauth2/exchange"):
                return self._token(parse_qs(url.query), parse_qs(body.decode()), url.path)
            if store.failures:
                store.failures -= 1
                return self._say(503, {"errors": [{"code": "BUSY", "message": "later"}]})
            match = _PATH.fullmatch(url.path)
            if not match:
                return self._say(404)
            repository, kind, name = match.groups()
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            if not self._may(repository, query):
                return None
            return getattr(self, f"_{kind}")(repository, name, query, body)

    def _may(self, repository: str, query: dict[str, str]) -> bool:
        store, given = self.store, self.headers.get("authorization", "")
        if store.basic and given != "Basic " + base64.b64encode(store.basic.encode()).decode():
            self._say(401, headers={"WWW-Authenticate": 'Basic realm="here"'})
            return False
        if store.bearer:
            action = "pull" if self.command in ("GET", "HEAD") else "push"
            granted = base64.b64decode(given.removeprefix("Bearer ")).decode().split() if given else []
            wanted = [(repository, action), *([(query["from"], "pull")] if "from" in query else [])]
            held = {(scope.split(":")[1], each) for scope in granted for each in scope.split(":")[2].split(",")}
            if not set(wanted) <= held:
                realm = f"http://{self.headers['host']}/token"
                self._say(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="here",scope="x"'})
                return False
        return True

    def _token(self, query: dict[str, list[str]], form: dict[str, list[str]], path: str) -> None:
        store = self.store
        if path == "/oauth2/exchange":
            right = form.get("access_token") == ["aad"] and form.get("grant_type") == ["access_token"]
            return self._say(200, {"refresh_token": store.identity}) if right else self._say(401)
        if store.identity:
            right = form.get("refresh_token") == [store.identity] and form.get("grant_type") == ["refresh_token"]
            scopes = form.get("scope", [""])[0].split()
        else:
            expected = "Basic " + base64.b64encode(store.user.encode()).decode() if store.user else ""
            right, scopes = self.headers.get("authorization", "") == expected, query.get("scope", [])
        if not right or (query.get("service") or form.get("service")) != ["here"]:
            return self._say(401)
        return self._say(200, {"token": base64.b64encode(" ".join(scopes).encode()).decode()})

    def _manifests(self, repository: str, name: str, _query: dict[str, str], body: bytes) -> None:
        known = self.store.manifests.setdefault(repository, {})
        if self.command == "PUT":
            if self.store.immutable and name in known and known[name][0] != body and not name.startswith("sha256:"):
                return self._say(400, {"errors": [{"code": "TAG_INVALID", "message": "the tag is immutable"}]})
            document = json.loads(body)
            needed = [document["config"]["digest"], *(layer["digest"] for layer in document["layers"])]
            if set(needed) - set(self.store.blobs.get(repository, {})):
                return self._say(400, {"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "a blob is missing"}]})
            known[name] = known[digest_of(body)] = (body, self.headers["content-type"])
            return self._say(201, headers={"Docker-Content-Digest": digest_of(body)})
        if name not in known:
            return self._say(404, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": name}]})
        content, kind = known[name]
        return self._send(200, content, {"Content-Type": kind, "Docker-Content-Digest": digest_of(content)})

    def _blobs(self, repository: str, name: str, query: dict[str, str], body: bytes) -> None:
        known = self.store.blobs.setdefault(repository, {})
        place = {"Location": f"/v2/{repository}/blobs/uploads/1?state=a%2Bb"}
        if self.command == "POST":
            there = self.store.blobs.get(query.get("from", ""), {}).get(query.get("mount", ""))
            if there is None or not self.store.mounts:
                self._say(202, headers=place)
            else:
                known[query["mount"]] = there
                self._say(201)
        elif self.command == "PATCH":
            self.store.patched = body
            self._say(202, headers=place)
        elif self.command == "PUT":
            self._say(self._taken(known, query, body))
        elif name not in known:
            self._say(404)
        elif self.store.redirects and self.command == "GET":
            self._say(307, headers={"Location": f"/elsewhere/{name}"})
        else:
            self._send(200, known[name], {})

    def _taken(self, known: dict[str, bytes], query: dict[str, str], body: bytes) -> int:
        if self.store.patches:
            if body:
                return 405
            body, self.store.patched = self.store.patched, b""
        if query.get("state") != "a+b" or digest_of(body) != query.get("digest"):
            return 400
        known[query["digest"]] = body
        return 201

    def _elsewhere(self, path: str) -> None:
        if self.headers.get("authorization"):  # as object stores refuse two kinds of credentials
            return self._say(400)
        found = [
            blobs[path.rpartition("/")[2]] for blobs in self.store.blobs.values() if path.rpartition("/")[2] in blobs
        ]
        return self._send(200, found[0], {})

    def _say(self, status: int, document: Any = None, headers: dict[str, str] | None = None) -> None:
        self._send(status, b"" if document is None else json.dumps(document).encode(), headers or {})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class Served:
    """A running registry."""

    def __init__(self, store: Store, port: int) -> None:
        self.store = store
        self.host = f"127.0.0.1:{port}"

    def reference(self, path: str) -> Reference:
        return Reference.parse(f"{self.host}/{path}")

    def registry(self, path: str, source: Any = anonymous, **options: Any) -> Registry:
        options.setdefault("sleep", lambda _seconds: None)
        return Registry(self.reference(path), source, Transport(), **options)

    def put_base(self, path: str, files: dict[str, bytes], folder: Path, **config: Any) -> str:
        """A base image under a path with a tag; its digest."""
        repository, _, tag = path.partition(":")
        layer = pack([file_entry(name, content) for name, content in files.items()], "base", folder)
        described = {"architecture": "amd64", "os": "linux", "created": "2024-05-05T05:05:05Z", "author": "somebody"}
        inner = {"Env": ["PATH=/usr/local/bin:/usr/bin", "PYTHON_VERSION=3.11.9"], "Cmd": ["python3"], **config}
        raw = canonical({**described, "config": inner, "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]}})
        manifest = canonical(
            {
                "schemaVersion": 2,
                "mediaType": f"{OCI}.manifest.v1+json",
                "config": {"mediaType": f"{OCI}.config.v1+json", "size": len(raw), "digest": digest_of(raw)},
                "layers": [
                    {"mediaType": f"{OCI}.layer.v1.tar+gzip", "size": layer.size, "digest": layer.digest},
                ],
            }
        )
        blobs = self.store.blobs.setdefault(repository, {})
        blobs[digest_of(raw)], blobs[layer.digest] = raw, layer.path.read_bytes()
        known = self.store.manifests.setdefault(repository, {})
        known[tag] = known[digest_of(manifest)] = (manifest, f"{OCI}.manifest.v1+json")
        return digest_of(manifest)


@pytest.fixture
def served() -> Iterator[Served]:
    store = Store()
    handler = type("Handler", (_Handler,), {"store": store})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Served(store, server.server_port)
    server.shutdown()
    server.server_close()
    thread.join()


def sha(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
