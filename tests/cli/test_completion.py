"""What a shell is told while somebody types."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlinfra.cli.main import COMPLETION

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(mlinfra, shell: str):
    shown = mlinfra("completion", shell)
    assert shown.code == 0
    assert COMPLETION in shown.out
    assert mlinfra("completion", shell, "-o", "json").document["source"].strip() == shown.out.strip()


def test_another_shell_is_a_usage_error(mlinfra):
    assert mlinfra("completion", "tcsh").code == 2


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("mlinfra jo", {"job"}),
        ("mlinfra endpoint ro", {"rollout", "rollback"}),
        ("mlinfra job list -e ", {"local", "aws-dev"}),
        ("mlinfra job list -e aws", {"aws-dev"}),
        ("mlinfra job list -o j", {"json"}),
        ("mlinfra spec explain en", {"endpoint"}),
    ],
)
def test_names_are_completed(child, project: Path, cloud_document, typed: str, expected: set[str]):
    folder = project / ".mlinfra" / "environments"
    folder.mkdir(parents=True)
    (folder / "aws-dev.json").write_text(json.dumps(cloud_document))
    words = typed.split(" ")
    variables = {"COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1), COMPLETION: "bash_complete"}
    shown = child(variables=variables)
    found = {line.partition(",")[2] for line in shown.out.splitlines()}
    assert found == expected
