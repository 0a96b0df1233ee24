"""`mlinfra env init`: what it writes stands up, and what would not is refused before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

REGION, ACCOUNT = ("--set", "region=eu-west-1"), ("--set", "account=123456789012")


def test_every_key_that_is_missing_or_wrong_is_told_and_nothing_is_written(mlinfra, project: Path):
    shown = mlinfra("env", "init", "risk-dev", "--platform", "aws", "--set", "account=12", "-o", "json")
    assert shown.code == 2
    told = {each["path"]: each for each in shown.document["error"]["problems"]}
    assert told.keys() == {"mlinfra:region", "mlinfra:account"}
    assert "eu-west-1" in told["mlinfra:region"]["allowed"]
    assert told["mlinfra:account"]["given"] == "12"
    assert not (project / "infra").exists()


def test_lists_and_mappings_are_yaml(mlinfra, project: Path):
    more = ("--set", "tags={Team: risk}", "--set", "notify=[risk@acme.example]")
    assert mlinfra("env", "init", "risk-dev", "--platform", "aws", *REGION, *ACCOUNT, *more).code == 0
    written = (project / "infra" / "Pulumi.risk-dev.yaml").read_text()
    assert '  mlinfra:tags: {"Team": "risk"}\n' in written
    assert '  mlinfra:notify: ["risk@acme.example"]\n' in written


@pytest.mark.parametrize(("setting", "said"), [("tags={Team", "without its end"), ("tags", "KEY=VALUE")])
def test_a_setting_that_cannot_be_read_is_refused(mlinfra, project: Path, setting: str, said: str):
    shown = mlinfra("env", "init", "risk-dev", "--set", setting)
    assert (shown.code, said in shown.err) == (2, True), shown.err
    assert not (project / "infra").exists()


def test_what_somebody_changed_stays(mlinfra, project: Path):
    assert mlinfra("env", "init", "risk-dev").code == 0
    file = project / "infra" / "Pulumi.risk-dev.yaml"
    file.write_text("config: {}\n")
    shown = mlinfra("env", "init", "risk-dev")
    assert (shown.code, "edit them" in shown.err) == (5, True), shown.err
    assert file.read_text() == "config: {}\n"
