from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from mlinfra.package import tree_digest
from mlinfra.runner.fetch import fetch
from mlinfra.runner.problem import RunnerError
from mlinfra.runner.upload import upload

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Request, Server

PAGE = 2


class Bucket:
    """Cloud Storage's JSON API as far as it matters here, with a metadata server beside it."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.tokens = 0
        self.valid = ""
        self.lifetime = 3600
        self.harm = b""

    def __call__(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.startswith("/computeMetadata/"):
            return self.token(request)
        if self.valid and request.headers.get("Authorization") != f"Bearer {self.valid}":
            return 401, {}, b""
        if parts.path.startswith("/upload/"):
            self.objects[query["name"]] = request.body + self.harm
            digest = hashlib.md5(self.objects[query["name"]], usedforsecurity=False).digest()
            return 200, {}, json.dumps({"md5Hash": base64.b64encode(digest).decode()}).encode()
        if parts.path == "/storage/v1/b/bucket/o":
            return self.page(query)
        name = unquote(parts.path.removeprefix("/storage/v1/b/bucket/o/"))
        if name not in self.objects:
            return 404, {}, b""
        return 200, {}, self.objects[name] if query.get("alt") == "media" else b'{"kind": "storage#object"}'

    def token(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        assert request.headers["Metadata-Flavor"] == "Google"
        self.tokens += 1
        self.valid = f"token-{self.tokens}"
        return 200, {}, json.dumps({"access_token": self.valid, "expires_in": self.lifetime}).encode()

    def page(self, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        names = sorted(name for name in self.objects if name.startswith(query.get("prefix", "")))
        start = int(query.get("pageToken") or 0)
        page = {"items": [{"name": name} for name in names[start : start + PAGE]]}
        more = {"nextPageToken": str(start + PAGE)} if start + PAGE < len(names) else {}
        return 200, {}, json.dumps({**page, **more}).encode()


@pytest.fixture
def bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    found = Bucket({"data/a": b"1", "data/sub/b ü": b"2", "data/c": b"3", "data/": b"", "database": b"no"})
    server.answer = found
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"127.0.0.1:{server.port}")
    return found


def test_an_object_is_brought_as_a_file(bucket: Bucket, tmp_path: Path) -> None:
    fetch("gs://bucket/data/sub/b ü", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == bucket.objects["data/sub/b ü"]
    assert bucket.tokens == 0


@pytest.mark.parametrize("uri", ["gs://bucket/data", "gs://bucket/data/"])
def test_what_lies_below_a_name_is_brought_as_a_folder(
    bucket: Bucket, tmp_path: Path, uri: str, server: Server
) -> None:
    fetch(uri, tmp_path / "data")
    found = {
        path.relative_to(tmp_path / "data").as_posix(): path.read_bytes()
        for path in (tmp_path / "data").rglob("*")
        if path.is_file()
    }
    assert found == {"a": b"1", "sub/b ü": b"2", "c": b"3"}
    assert sum("pageToken" in request.path for request in server.asked) == 2
    assert bucket.objects


def test_nothing_there_is_missing(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="no such object") as caught:
        fetch("gs://bucket/none", tmp_path / "none")
    assert caught.value.exit_code == 4
    with pytest.raises(RunnerError, match="names no bucket"):
        fetch("gs:///x", tmp_path / "none")
    assert bucket.objects


@pytest.mark.parametrize("name", ["../evil", "a//evil", "./evil"])
def test_names_that_lead_out_of_the_folder_are_refused(bucket: Bucket, tmp_path: Path, name: str) -> None:
    bucket.objects[f"data/{name}"] = b"x"
    with pytest.raises(RunnerError, match="leads out"):
        fetch("gs://bucket/data", tmp_path / "in/data")
    assert list((tmp_path / "in").iterdir()) == []
    assert not (tmp_path / "evil").exists()


def test_a_folder_is_uploaded_object_by_object_and_compared(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "out/sub").mkdir(parents=True)
    (tmp_path / "out/sub/größe").write_bytes(b"1" * 100_000)
    (tmp_path / "out/a").write_bytes(b"")
    upload(tmp_path / "out", "gs://bucket/runs/1/model/")
    assert bucket.objects["runs/1/model/sub/größe"] == b"1" * 100_000
    assert bucket.objects["runs/1/model/a"] == b""
    fetch("gs://bucket/runs/1/model", tmp_path / "back", digest=tree_digest(tmp_path / "out").digest)
    bucket.harm = b"!"
    with pytest.raises(RunnerError, match="is not what was sent"):
        upload(tmp_path / "out", "gs://bucket/runs/2")


def test_the_machines_identity_is_shown_and_its_token_renewed(
    bucket: Bucket, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.port}")
    fetch("gs://bucket/data", tmp_path / "data")
    assert bucket.tokens == 1
    monkeypatch.setattr("mlinfra.runner.gcs._known", {})
    bucket.lifetime = 30  # ends within the minute that is kept spare
    fetch("gs://bucket/data", tmp_path / "again")
    assert bucket.tokens > 2


def test_a_token_that_is_refused_is_a_denial(
    bucket: Bucket, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.port}")
    fetch("gs://bucket/data/a", tmp_path / "a")
    bucket.valid = "another"
    with pytest.raises(RunnerError, match="401") as caught:
        fetch("gs://bucket/data/a", tmp_path / "b")
    assert caught.value.exit_code == 3
    assert "token-1" not in str(caught.value)
