"""References are read as Docker reads them."""

from __future__ import annotations

import pytest

from mlinfra.errors import UsageError
from mlinfra.images.reference import Reference

PINNED = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("text", "whole", "origin"),
    [
        ("python", "registry-1.docker.io/library/python:latest", "https://registry-1.docker.io"),
        ("docker.io/python:3.11", "registry-1.docker.io/library/python:3.11", "https://registry-1.docker.io"),
        ("team/x:1", "registry-1.docker.io/team/x:1", "https://registry-1.docker.io"),
        ("localhost:5000/a/b:c", "localhost:5000/a/b:c", "http://localhost:5000"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest", "http://127.0.0.1:5000"),
        ("localhost.example.com/a", "localhost.example.com/a:latest", "https://localhost.example.com"),
        (f"x.azurecr.io/a@{PINNED}", f"x.azurecr.io/a@{PINNED}", "https://x.azurecr.io"),
        (f"x.azurecr.io/a:1@{PINNED}", f"x.azurecr.io/a@{PINNED}", "https://x.azurecr.io"),
        (
            "1.dkr.ecr.eu-west-1.amazonaws.com/a/b_c:v1",
            "1.dkr.ecr.eu-west-1.amazonaws.com/a/b_c:v1",
            "https://1.dkr.ecr.eu-west-1.amazonaws.com",
        ),
    ],
)
def test_a_reference_is_read(text: str, whole: str, origin: str):
    reference = Reference.parse(text)
    assert (str(reference), reference.origin) == (whole, origin)


@pytest.mark.parametrize("text", ["", "a.b/", "a.b/X:1", "a.b/c@sha256:1", "a.b/c:-x", "a.b/c d", "a.b/../c", "a.b/c@"])
def test_what_is_none_is_refused(text: str):
    with pytest.raises(UsageError):
        Reference.parse(text)


def test_pinning_drops_the_tag():
    assert str(Reference.parse("a.b/c:1").at(PINNED)) == f"a.b/c@{PINNED}"
