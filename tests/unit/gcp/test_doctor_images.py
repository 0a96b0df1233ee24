"""How `env doctor` looks at images on Google Cloud: those by digest are asked for, a tag cannot be."""

from __future__ import annotations

from mlinfra.environment import parse
from mlinfra_gcp.doctor import examine

REPOSITORY = "europe-west4-docker.pkg.dev/acme-risk/cache"
DIGEST = f"sha256:{'0' * 64}"


def checks(uri: str) -> tuple[dict, list[str]]:
    """What is said of an image, and which images were asked for."""
    images = {"base": {"uri": uri}}
    environment = parse(
        {"platform": "gcp", "name": "gcp-dev", "region": "europe-west4", "account": "acme-risk", "images": images}
    )
    asked: list[str] = []

    def call(service: str, operation: str, body: dict) -> dict:
        if (service, operation) == ("artifactregistry", "GetDockerImage"):
            asked.append(body["name"])
        return {}

    (found,) = [each for each in examine(environment, call) if each["name"] == "image base"]
    return found, asked


def test_an_image_by_digest_is_asked_for_by_its_encoded_name():
    found, asked = checks(f"{REPOSITORY}/library/python@{DIGEST}")
    place = "projects/acme-risk/locations/europe-west4/repositories/cache/dockerImages"
    assert asked == [f"{place}/library%2Fpython@{DIGEST}"]
    assert found["verdict"] == "ok"


def test_of_an_image_by_tag_it_is_said_why_it_is_not_looked_at():
    found, asked = checks(f"{REPOSITORY}/library/python:3.11-slim")
    assert asked == []
    assert found["verdict"] == "not checked"
    assert "by its tag" in found["detail"]
