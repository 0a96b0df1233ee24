"""The distribution protocol, and the ways in which real registries are awkward."""

from __future__ import annotations

import base64
import io
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.errors import Conflict, Denied, IntegrityError, NotFound, SpecError, Unavailable
from mlinfra.images.assemble import MANIFEST
from mlinfra.images.content import canonical, digest_of
from mlinfra.images.dockerconfig import docker_credentials
from mlinfra.images.login import Credentials, acr_credentials, artifact_registry_credentials, ecr_credentials
from mlinfra.images.reference import Reference
from mlinfra.images.registry import Blob, Registry
from mlinfra.images.transport import Transport

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = b"content" * 1000
DIGEST = digest_of(CONTENT)


def blob(content: bytes = CONTENT, mount: str = "") -> Blob:
    return Blob(digest_of(content), len(content), lambda: io.BytesIO(content), mount)


def manifest(content: bytes = CONTENT) -> bytes:
    item = {"mediaType": "x", "size": len(content), "digest": digest_of(content)}
    return canonical({"schemaVersion": 2, "mediaType": MANIFEST, "config": item, "layers": [item]})


def methods(served: Any) -> list[str]:
    return [method for method, _, _ in served.store.log]


def test_a_blob_is_sent_once(served: Any):
    registry = served.registry("a", writes=True)
    registry.put_blob("a", blob())
    registry.put_blob("a", blob())

    assert served.store.blobs["a"] == {DIGEST: CONTENT}
    assert methods(served) == ["HEAD", "POST", "PUT", "HEAD"]
    traffic = registry.traffic
    assert (traffic.uploaded, traffic.present, traffic.sent) == (1, 1, len(CONTENT))
    assert registry.blob("a", DIGEST) == CONTENT


def test_a_blob_of_another_repository_is_mounted(served: Any):
    served.store.blobs["base"] = {DIGEST: CONTENT}
    registry = served.registry("a", writes=True)
    registry.put_blob("a", blob(mount="base"))

    assert served.store.blobs["a"] == {DIGEST: CONTENT}
    assert (registry.traffic.mounted, registry.traffic.sent) == (1, 0)


def test_a_registry_that_does_not_mount_is_sent_the_bytes(served: Any):
    served.store.blobs["base"] = {DIGEST: CONTENT}
    served.store.mounts = False
    registry = served.registry("a", writes=True)
    registry.put_blob("a", blob(mount="base"))
    assert (registry.traffic.mounted, registry.traffic.sent) == (0, len(CONTENT))


def test_a_registry_that_takes_bytes_in_a_patch_alone_gets_them_so(served: Any):
    served.store.patches = True
    served.registry("a", writes=True).put_blob("a", blob())
    assert served.store.blobs["a"] == {DIGEST: CONTENT}


def test_a_registry_on_this_machine_is_asked_past_any_proxy(served: Any, monkeypatch: pytest.MonkeyPatch):
    served.store.blobs["a"] = {DIGEST: CONTENT}
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert served.registry("a").blob("a", DIGEST) == CONTENT


def test_a_redirect_is_followed_without_credentials(served: Any):
    served.store.blobs["a"] = {DIGEST: CONTENT}
    served.store.basic, served.store.redirects = "u:p", True
    registry = served.registry("a", lambda _host: Credentials("u", "p"))
    assert registry.blob("a", DIGEST) == CONTENT
    into = io.BytesIO()
    registry.copy_blob("a", DIGEST, into)
    assert into.getvalue() == CONTENT


def test_bytes_that_are_not_what_was_promised_are_refused(served: Any):
    served.store.blobs["a"] = {DIGEST: b"other"}
    served.store.manifests["a"] = {DIGEST: (manifest(), MANIFEST)}
    registry = served.registry("a")
    with pytest.raises(IntegrityError):
        registry.blob("a", DIGEST)
    with pytest.raises(IntegrityError):
        registry.copy_blob("a", DIGEST, io.BytesIO())
    with pytest.raises(IntegrityError):
        registry.manifest("a", DIGEST)


def test_a_busy_registry_is_asked_again(served: Any):
    served.store.failures = 3
    served.registry("a", writes=True).put_blob("a", blob())
    assert served.store.blobs["a"] == {DIGEST: CONTENT}

    served.store.failures = 9
    with pytest.raises(Unavailable, match="busy"):
        served.registry("a", writes=True).put_blob("a", blob(b"other"))


def test_no_answer_is_temporary():
    reference = Reference.parse("127.0.0.1:1/a")
    with pytest.raises(Unavailable, match="no answer"):
        Registry(reference, lambda _host: None, Transport(), sleep=lambda _seconds: None).manifest("a", "latest")


def test_a_tag_is_moved_last_and_a_manifest_that_stands_is_left_alone(served: Any):
    registry = served.registry("a", writes=True)
    registry.put_blob("a", blob())
    for _ in range(2):
        registry.put_manifest("a", "v1", manifest(), MANIFEST)
    assert methods(served).count("PUT") == 2  # the blob, the manifest
    document, digest = registry.manifest("a", "v1")
    assert (document["mediaType"], digest) == (MANIFEST, digest_of(manifest()))


def test_an_immutable_tag_is_a_conflict_only_where_it_differs(served: Any):
    served.store.immutable = True
    registry = served.registry("a", writes=True)
    registry.put_blob("a", blob())
    registry.put_blob("a", blob(b"other"))
    registry.put_manifest("a", "v1", manifest(), MANIFEST)
    registry.put_manifest("a", "v1", manifest(), MANIFEST)
    with pytest.raises(Conflict) as caught:
        registry.put_manifest("a", "v1", manifest(b"other"), MANIFEST)
    assert digest_of(manifest()) in str(caught.value)
    assert digest_of(manifest(b"other")) in str(caught.value)


def test_what_is_not_there_is_not_found(served: Any):
    with pytest.raises(NotFound, match="MANIFEST_UNKNOWN"):
        served.registry("a").manifest("a", "nothing")


def test_basic_login(served: Any):
    served.store.basic = "AWS:secret"
    token = base64.b64encode(b"AWS:secret").decode()
    served.registry("a", lambda _host: ecr_credentials(token), writes=True).put_blob("a", blob())
    assert served.store.blobs["a"] == {DIGEST: CONTENT}
    for source in (lambda _host: None, lambda _host: Credentials("AWS", "old")):
        with pytest.raises(Denied, match="docker login"):
            served.registry("a", source).blob("a", DIGEST)


def test_a_token_is_asked_for_what_is_needed_and_kept(served: Any):
    served.store.bearer, served.store.user = True, "oauth2accesstoken:ya29"
    served.store.blobs["base"] = {DIGEST: CONTENT}
    registry = served.registry("a", lambda _host: artifact_registry_credentials("ya29"), writes=True)
    registry.put_blob("a", blob(mount="base"))
    registry.put_blob("a", blob(b"other"))

    assert (registry.traffic.mounted, registry.traffic.uploaded) == (1, 1)
    asked = [path for _, path, _ in served.store.log if path.startswith("/token")]
    assert len(asked) == 2  # for the repository, and for both together
    assert "scope=repository%3Aa%3Apull%2Cpush&scope=repository%3Abase%3Apull" in asked[1]
    with pytest.raises(Denied):
        served.registry("a", lambda _host: artifact_registry_credentials("old")).blob("a", DIGEST)


def test_public_images_are_read_with_an_anonymous_token(served: Any):
    served.store.bearer = True
    served.store.blobs["a"] = {DIGEST: CONTENT}
    assert served.registry("a").blob("a", DIGEST) == CONTENT


def test_an_azure_token_is_exchanged(served: Any):
    served.store.bearer, served.store.identity = True, "refresh"
    origin = f"http://{served.host}"
    credentials = acr_credentials(served.host, "aad", "tenant", Transport(), origin=origin)
    assert credentials == Credentials(identity="refresh")
    served.registry("a", lambda _host: credentials, writes=True).put_blob("a", blob())
    assert served.store.blobs["a"] == {DIGEST: CONTENT}
    with pytest.raises(Denied):
        acr_credentials(served.host, "stale", "tenant", Transport(), origin=origin)


@pytest.mark.parametrize("token", ["AWS:secret", base64.b64encode(b"secret").decode(), "ä"])
def test_what_is_no_token_of_ecr_is_refused(token: str):
    with pytest.raises(Denied, match="ECR"):
        ecr_credentials(token)


def test_secrets_are_not_shown():
    assert "hidden" not in repr(Credentials("u", "hidden", identity="hidden"))


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def write(document: Any) -> None:
        (tmp_path / "config.json").write_text(document if isinstance(document, str) else json.dumps(document))

    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    helper = tmp_path / "docker-credential-test"
    helper.write_text(
        "#!/bin/sh\nread host\ncase $host in\n"
        'good.io) echo \'{"Username": "u", "Secret": "p"}\' ;;\n'
        'token.io) echo \'{"Username": "<token>", "Secret": "r"}\' ;;\n'
        "none.io) echo 'credentials not found in native keychain'; exit 1 ;;\n*) exit 3 ;;\nesac\n"
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return write


@pytest.mark.parametrize(
    ("document", "host", "expected"),
    [
        ({"auths": {"a.io": {"auth": base64.b64encode(b"u:p:q").decode()}}}, "a.io", Credentials("u", "p:q")),
        ({"auths": {"https://a.io": {"username": "u", "password": "p"}}}, "a.io", Credentials("u", "p")),
        ({"auths": {"a.io": {"identitytoken": "r"}}}, "a.io", Credentials(identity="r")),
        ({"auths": {"a.io": {}}}, "a.io", None),
        ({"auths": {"b.io": {"auth": "x"}}}, "a.io", None),
        (
            {"auths": {"https://index.docker.io/v1/": {"username": "u", "password": "p"}}},
            "registry-1.docker.io",
            Credentials("u", "p"),
        ),
        ({"credHelpers": {"good.io": "test"}}, "good.io", Credentials("u", "p")),
        ({"credsStore": "test"}, "token.io", Credentials(identity="r")),
        ({"credsStore": "test"}, "none.io", None),
        ({}, "a.io", None),
    ],
)
def test_dockers_logins_are_read(docker: Any, document: Any, host: str, expected: Credentials | None):
    docker(document)
    assert docker_credentials(host) == expected


def test_dockers_troubles_are_told(docker: Any):
    assert docker_credentials("a.io") is None  # no file at all
    docker("{")
    with pytest.raises(SpecError, match="not JSON"):
        docker_credentials("a.io")
    docker({"auths": {"a.io": {"auth": "%"}}})
    with pytest.raises(SpecError, match="base64"):
        docker_credentials("a.io")
    docker({"credsStore": "test"})
    with pytest.raises(Unavailable, match="docker-credential-test"):
        docker_credentials("broken.io")
    docker({"credsStore": "absent"})
    with pytest.raises(Unavailable, match="docker-credential-absent"):
        docker_credentials("a.io")
