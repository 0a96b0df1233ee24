"""Blobs and secrets of Azure, as the job's managed identity."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from mlinfra.package import tree_digest
from mlinfra.runner import azure
from mlinfra.runner.fetch import fetch
from mlinfra.runner.problem import RunnerError
from mlinfra.runner.upload import upload, upload_file
from mlinfra.runner.vault import reveal

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Request, Server

PAGE = 2
STORE = "https://risk.blob.core.windows.net/data"


class Account:
    """Blob storage's REST API as far as it matters here, with an identity and a vault beside it."""

    def __init__(self, blobs: dict[str, bytes]) -> None:
        self.blobs = blobs
        self.blocks: dict[str, bytes] = {}
        self.tokens: list[dict[str, str]] = []
        self.valid = ""
        self.until = "4000000000"
        self.headers: dict[str, str] = {}

    def __call__(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/msi":
            return self.token(query)
        if self.valid and self.headers.get("authorization") != f"Bearer {self.valid}":
            return 401, {}, b""
        if parts.path == "/secrets/risk-db":
            assert query == {"api-version": "7.4"}
            return 200, {}, json.dumps({"value": "horse"}).encode()
        assert self.headers["x-ms-version"] >= "2019-12-12"
        name = unquote(parts.path.removeprefix("/risk/data/"))
        return self.put(name, request, query) if request.method == "PUT" else self.get(name, query)

    def get(self, name: str, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if query.get("comp") == "list":
            return self.page(query)
        if name not in self.blobs:
            return 404, {}, b""
        return 200, {}, b"" if query.get("comp") == "metadata" else self.blobs[name]

    def put(self, name: str, request: Request, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if query.get("comp") == "blocklist":
            self.blobs[name] = b"".join(self.blocks[each] for each in _latest(request.body))
            return 201, {}, b""
        digest = base64.b64encode(hashlib.md5(request.body, usedforsecurity=False).digest()).decode()
        assert self.headers["content-md5"] == digest
        if query.get("comp") == "block":
            self.blocks[query["blockid"]] = request.body
        else:
            assert self.headers["x-ms-blob-type"] == "BlockBlob"
            self.blobs[name] = request.body
        return 201, {}, b""

    def token(self, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        self.tokens.append({**query, "proof": self.headers.get("secret", self.headers.get("x-identity-header", ""))})
        self.valid = f"token-{len(self.tokens)}"
        return 200, {}, json.dumps({"access_token": self.valid, "expires_on": self.until}).encode()

    def page(self, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        names = sorted(name for name in self.blobs if name.startswith(query.get("prefix", "")))
        start = int(query.get("marker") or 0)
        blobs = "".join(f"<Blob><Name>{escape(name)}</Name></Blob>" for name in names[start : start + PAGE])
        marker = str(start + PAGE) if start + PAGE < len(names) else ""
        listed = f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
        return 200, {}, listed.encode()


def _latest(body: bytes) -> list[str]:
    return [part.partition("</Latest>")[0] for part in body.decode().split("<Latest>")[1:]]


@pytest.fixture
def account(server: Server, monkeypatch: pytest.MonkeyPatch) -> Account:
    found = Account({"data/a": b"1", "data/sub/b ü": b"2", "data/c&d": b"3", "data/": b"", "database": b"no"})
    server.answer = found
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"http://127.0.0.1:{server.port}/risk")
    monkeypatch.setattr(azure, "_known", {})
    return found


@pytest.fixture
def identity(account: Account, server: Server, monkeypatch: pytest.MonkeyPatch) -> Account:
    """The same with a managed identity, as Azure ML's compute has one."""
    monkeypatch.setenv("MSI_ENDPOINT", f"http://127.0.0.1:{server.port}/msi")
    monkeypatch.setenv("MSI_SECRET", "proof")
    monkeypatch.setenv("AZURE_CLIENT_ID", "trainer")
    return account


def test_a_blob_is_brought_as_a_file(account: Account, tmp_path: Path) -> None:
    fetch(f"{STORE}/data/sub/b ü", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == account.blobs["data/sub/b ü"]
    assert account.tokens == []


@pytest.mark.parametrize("uri", [f"{STORE}/data", f"{STORE}/data/"])
def test_what_lies_below_a_name_is_brought_as_a_folder(account: Account, tmp_path: Path, uri: str) -> None:
    fetch(uri, tmp_path / "data")
    found = {
        path.relative_to(tmp_path / "data").as_posix(): path.read_bytes()
        for path in (tmp_path / "data").rglob("*")
        if path.is_file()
    }
    assert found == {"a": b"1", "sub/b ü": b"2", "c&d": b"3"}
    assert account.blobs


def test_nothing_there_is_missing(account: Account, tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="no such object") as caught:
        fetch(f"{STORE}/none", tmp_path / "none")
    assert caught.value.exit_code == 4
    with pytest.raises(RunnerError, match="names no container"):
        azure.place_of("https://risk.blob.core.windows.net/")
    assert account.blobs


@pytest.mark.parametrize("name", ["../evil", "a//evil", "./evil"])
def test_names_that_lead_out_of_the_folder_are_refused(account: Account, tmp_path: Path, name: str) -> None:
    account.blobs[f"data/{name}"] = b"x"
    with pytest.raises(RunnerError, match="leads out"):
        fetch(f"{STORE}/data", tmp_path / "in/data")
    assert list((tmp_path / "in").iterdir()) == []


def test_a_folder_is_uploaded_blob_by_blob(account: Account, tmp_path: Path) -> None:
    (tmp_path / "out/sub").mkdir(parents=True)
    (tmp_path / "out/sub/größe").write_bytes(b"1" * 100_000)
    (tmp_path / "out/a").write_bytes(b"")
    upload(tmp_path / "out", f"{STORE}/runs/1/model/")
    assert account.blobs["runs/1/model/sub/größe"] == b"1" * 100_000
    assert account.blobs["runs/1/model/a"] == b""
    fetch(f"{STORE}/runs/1/model", tmp_path / "back", digest=tree_digest(tmp_path / "out").digest)


def test_a_large_file_goes_in_blocks(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure, "_WHOLE", 10)
    monkeypatch.setattr(azure, "_BLOCK", 4)
    (tmp_path / "large").write_bytes(b"0123456789abc")
    upload_file(tmp_path / "large", f"{STORE}/large")
    assert account.blobs["large"] == b"0123456789abc"
    assert len(account.blocks) == 4


def test_the_machines_identity_is_shown_for_each_service_and_its_token_kept(identity: Account, tmp_path: Path) -> None:
    fetch(f"{STORE}/data", tmp_path / "data")
    assert identity.tokens == [
        {
            "api-version": "2017-09-01",
            "resource": "https://storage.azure.com/",
            "clientid": "trainer",
            "proof": "proof",
        }
    ]


def test_a_token_that_is_about_to_end_is_asked_for_again(identity: Account, tmp_path: Path) -> None:
    identity.until = "1"
    fetch(f"{STORE}/data", tmp_path / "data")
    assert len(identity.tokens) > 2


def test_newer_hosts_have_their_identity_elsewhere(
    identity: Account, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.port}/msi")
    monkeypatch.setenv("IDENTITY_HEADER", "newer")
    fetch(f"{STORE}/data/a", tmp_path / "a")
    assert (identity.tokens[0]["proof"], identity.tokens[0]["client_id"]) == ("newer", "trainer")


def test_without_an_identity_nothing_is_asked_of_azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_STORAGE_ENDPOINT", "MSI_ENDPOINT", "IDENTITY_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RunnerError, match="no managed identity") as caught:
        fetch(f"{STORE}/data/a", tmp_path / "a")
    assert caught.value.exit_code == 3


def test_a_token_that_is_refused_is_a_denial_and_not_shown(identity: Account, tmp_path: Path) -> None:
    fetch(f"{STORE}/data/a", tmp_path / "a")
    identity.valid = "another"
    with pytest.raises(RunnerError, match="401") as caught:
        fetch(f"{STORE}/data/a", tmp_path / "b")
    assert caught.value.exit_code == 3
    assert "token-1" not in str(caught.value)


def test_an_address_that_brings_its_own_signature_is_the_webs(identity: Account) -> None:
    assert not azure.is_blob(f"{STORE}/data/a?sv=2021&sig=x")
    assert not azure.is_blob("https://example.com/data/a")
    assert azure.is_blob(f"{STORE}/data/a")
    assert identity.tokens == []


def test_a_secret_is_read_in_the_vault_and_told_to_nobody(
    identity: Account, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = f"keyvault:http://127.0.0.1:{server.port}/secrets"
    assert reveal({"PASSWORD": f"{vault}/risk-db"}, os.environ) == {"PASSWORD": "horse"}
    assert identity.tokens[-1]["resource"] == "https://vault.azure.net"
    with pytest.raises(RunnerError, match="secret PASSWORD cannot be read") as caught:
        reveal({"PASSWORD": f"{vault}/another"}, os.environ)
    assert "horse" not in str(caught.value)
    monkeypatch.setattr(azure, "_known", {})
