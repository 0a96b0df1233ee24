"""Artifact Registry over REST: repositories made, looked up and removed, images listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.gcp import GcpEmulator
    from mlinfra.environment import GcpEnvironment


@pytest.fixture
def ask(emulator: GcpEmulator, environment: GcpEnvironment, session: Callable[..., Any]) -> Callable[..., Any]:
    """A call below the region's repositories: the document, whose status was 200 unless another is said."""
    member = f"serviceAccount:{environment.identities['deployer']}"
    emulator.identity.bindings.define("roles/artifactregistry.admin", ("artifactregistry.*",))
    emulator.identity.bindings.grant(f"projects/{emulator.project}", "roles/artifactregistry.admin", member)

    def call(method: str, path: str = "", status: int = 200, principal: str = "deployer", **options: Any) -> Any:
        parent = f"projects/{emulator.project}/locations/{emulator.region}"
        answer = session(principal).request(method, f"{emulator.url}/v1/{parent}/repositories{path}", **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    return call


def test_a_repository_is_made_told_and_removed(emulator: GcpEmulator, ask: Callable[..., Any]) -> None:
    body = {"format": "DOCKER", "labels": {"mlinfra_id": "x"}}
    made = ask("POST", params={"repositoryId": "own"}, json=body)
    assert made["done"]
    assert made["response"]["name"].endswith("/repositories/own")
    assert ask("GET", "/own")["labels"] == {"mlinfra_id": "x"}
    assert emulator.artifacts.leftovers() == [made["response"]["name"]]
    ask("POST", status=409, params={"repositoryId": "own"}, json=body)
    ask("POST", status=400, params={"repositoryId": "Own"}, json=body)
    ask("DELETE", "/own")
    ask("GET", "/own", 404)
    assert emulator.artifacts.leftovers() == []


def test_the_repositories_of_registered_images_are_there(emulator: GcpEmulator, ask: Callable[..., Any]) -> None:
    emulator.artifacts.register("europe-west4-docker.pkg.dev/mlinfra-emulated/shop/server:2")
    names = [each["name"].rpartition("/")[2] for each in ask("GET")["repositories"]]
    assert {"mlinfra", "shop"} <= set(names)
    (image,) = ask("GET", "/shop/dockerImages")["dockerImages"]
    assert (image["uri"].rpartition("/")[2], image["tags"]) == ("server:2", ["2"])
    ask("DELETE", "/shop")
    assert "shop" not in [each["name"].rpartition("/")[2] for each in ask("GET")["repositories"]]


def test_each_call_needs_its_permission(ask: Callable[..., Any]) -> None:
    told = ask("POST", status=403, principal="approver", params={"repositoryId": "own"}, json={"format": "DOCKER"})
    assert "artifactregistry.repositories.create" in told["error"]["message"]
    ask("GET", status=403, principal="approver")


def test_an_image_is_looked_up_by_its_path_and_digest(emulator: GcpEmulator, ask: Callable[..., Any]) -> None:
    digest = f"sha256:{'0' * 64}"
    uri = f"europe-west4-docker.pkg.dev/mlinfra-emulated/shop/library/python@{digest}"
    emulator.artifacts.register(uri)
    path = f"/shop/dockerImages/library%2Fpython@{digest}"
    found = ask("GET", path)
    assert (found["uri"], found["name"].endswith(path)) == (uri, True)
    assert ask("GET", "/shop/dockerImages")["dockerImages"] == [found]
    ask("GET", path.replace("0", "1"), 404)
    ask("GET", f"/none/dockerImages/python@{digest}", 404)
    denied = ask("GET", path, 403, principal="approver")
    assert "artifactregistry.dockerimages.get" in denied["error"]["message"]
