"""Images that environments name: who may pull them, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlinfra.emulator.azure.images.references import parsed
from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from conftest import Hosting

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("uri", "registry", "repository", "tag", "digest"),
    [
        ("shop.azurecr.io/a/b:1", "", "a/b", "1", ""),
        ("shop1.azurecr.io/a/b:1", "shop1", "a/b", "1", ""),
        (f"shop1.azurecr.io/a@{DIGEST}", "shop1", "a", "", DIGEST),
        (f"shop1.azurecr.io/a:2@{DIGEST}", "shop1", "a", "2", DIGEST),
        ("mcr.microsoft.com/azureml/base", "", "azureml/base", "latest", ""),
        ("python:3.11", "", "python", "3.11", ""),
        ("localhost:5000/a", "", "a", "latest", ""),
    ],
)
def test_a_reference_is_read(uri: str, registry: str, repository: str, tag: str, digest: str) -> None:
    found = parsed(uri)
    assert found is not None
    assert (found.registry, found.repository, found.tag, found.digest) == (registry, repository, tag, digest)


@pytest.mark.parametrize("uri", ["", "A/b", "shop1.azurecr.io/", "a@sha256:short", "a b"])
def test_what_is_no_reference_is_none(uri: str) -> None:
    assert parsed(uri) is None


@pytest.mark.parametrize(
    ("uri", "code", "told"),
    [
        ("no image", "UserError", "no valid reference"),
        ("mlinfraemulated.azurecr.io/nobody:1", "UserError", "was not found in the container registry"),
        ("docker.io/library/python:3.11", "NotImplemented", "nobody told what it holds"),
    ],
)
def test_an_image_that_is_not_known_is_refused(hosting: Hosting, uri: str, code: str, told: str) -> None:
    with pytest.raises(Refusal, match=told) as refused:
        hosting.emulator.containers.contents(uri)
    assert refused.value.code == code


def test_an_identity_without_acr_pull_pulls_nothing_from_an_azure_registry(hosting: Hosting) -> None:
    emulator = hosting.emulator
    nobody = emulator.principals.create("nobody").object_id
    emulator.containers.register("docker.io/library/obedient:1")
    with pytest.raises(Refusal, match="Grant it AcrPull"):
        emulator.containers.contents("mlinfraemulated.azurecr.io/obedient:1", nobody)
    assert emulator.containers.contents("docker.io/library/obedient:1", nobody).command == ()


def test_an_image_that_cannot_be_pulled_fails_the_deployment(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    missing = hosting.environment_version("other", "nobody:1")
    error = hosting.over(hosting.deploying("shop", "blue", environment=missing), "Failed")["error"]
    assert "Unable to download user container image" in error["message"]


def test_an_image_without_a_server_and_one_that_has_to_be_built_are_not_emulated(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    hosting.emulator.containers.register(f"{hosting.registry}/plain:1")
    plain = hosting.environment_version("plain", "plain:1")
    error = hosting.over(hosting.deploying("shop", "blue", environment=plain), "Failed")["error"]
    assert error["message"].endswith("is not emulated")
    body = {"properties": {"image": "mcr.microsoft.com/base", "condaFile": "name: x"}}
    built = hosting.done(hosting.arm("PUT", "environments/built/versions/1", body))["id"]
    hosting.done(hosting.deploying("shop", "green", environment=built), 501)


def test_a_registrys_own_interface_is_not_emulated(hosting: Hosting) -> None:
    assert hosting.session().get(f"{hosting.emulator.secure}/v2/").status_code == 501
