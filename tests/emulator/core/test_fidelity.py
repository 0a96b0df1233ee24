"""The fidelity table says what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mlinfra.emulator.fidelity import page
from mlinfra.emulator.platforms import PLATFORMS, load

ROOT = Path(__file__).parents[3]
EVIDENCE = json.loads((ROOT / "tests" / "emulator" / "evidence.json").read_text())


def test_the_written_table_is_that_of_the_emulators():
    assert (ROOT / "docs" / "fidelity.md").read_text() == page(EVIDENCE), "run make docs"


def test_every_test_that_the_evidence_names_is_there():
    """Whether it calls what is claimed, the test itself tells: see the conftest of tests/emulator."""
    named = {
        test
        for services in EVIDENCE.values()
        for operations in services.values()
        for clients in operations.values()
        for test in clients.values()
    }
    assert named
    gone = [test for test in named if f"def {_function(test)}(" not in (ROOT / test.partition("::")[0]).read_text()]
    assert gone == [], "MLINFRA_RECORD_EVIDENCE=1 pytest -n 0 tests/emulator writes the evidence anew"


def _function(test: str) -> str:
    return test.partition("[")[0].rpartition("::")[2]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_is_emulated_says_how_it_is_validated(platform: str):
    operations = list(load(platform).operations())
    assert [each.operation for each in operations if each.emulated and not each.validated] == []
    assert len({(each.service, each.operation) for each in operations}) == len(operations)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_no_evidence_speaks_of_an_operation_that_is_not_emulated(platform: str):
    absent = {(each.service, each.operation) for each in load(platform).operations() if not each.emulated}
    claimed = {(service, operation) for service, seen in EVIDENCE.get(platform, {}).items() for operation in seen}
    assert claimed & absent == set()


def test_the_table_tells_differences_and_clients_of_each_operation():
    text = page(
        {"aws": {"sagemaker": {"CreateModel": {"boto3": "t", "sagemaker": "t"}}, "s3": {"PutObject": {"boto3": "t"}}}}
    )
    (row,) = [line for line in text.splitlines() if line.startswith("| CreateModel |")]
    assert [cell.strip() for cell in row.split("|")][2] == "yes"
    assert "boto3, sagemaker | none yet |" in row
    assert "| s3 | PutObject | boto3 |" in text
    assert re.search(r"^\| CreateAutoMLJob \| no \|", text, re.MULTILINE)
