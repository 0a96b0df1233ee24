"""`mlinfra env`, as far as it needs no platform."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def test_local_is_always_there(mlinfra, project: Path):
    shown = mlinfra("env", "list", "-o", "json")
    assert (shown.code, shown.err) == (0, "")
    assert [each["name"] for each in shown.document["environments"]] == ["local"]


def test_an_environment_is_added_shown_used_and_removed(mlinfra, project: Path, cloud_document):
    (project / "aws.json").write_text(json.dumps(cloud_document))
    assert mlinfra("env", "add", "aws.json").code == 0
    shown = mlinfra("env", "show", "aws-dev", "-o", "json")
    assert shown.document["environment"] == "aws-dev"
    assert shown.document["id"] == "aws:123456789012:eu-west-1:aws-dev"
    assert shown.document["document"]["region"] == "eu-west-1"
    assert mlinfra("env", "use", "aws-dev").code == 0
    assert mlinfra("env", "list", "-o", "json").document["environments"][0]["default"] is True
    assert mlinfra("env", "remove", "aws-dev").code == 2
    assert mlinfra("env", "remove", "aws-dev", "--yes").code == 0
    assert mlinfra("env", "show", "aws-dev").code == 4


def test_the_chosen_environment_is_said_and_why(mlinfra, project: Path, cloud_document, monkeypatch):
    (project / "aws.json").write_text(json.dumps(cloud_document))
    mlinfra("env", "add", "aws.json")
    assert mlinfra("env", "show").err == "environment: local (default)\n"
    assert mlinfra("env", "show", "-e", "aws-dev").err == "environment: aws-dev (-e)\n"
    monkeypatch.setenv("MLINFRA_ENV", "aws-dev")
    assert mlinfra("env", "show").err == "environment: aws-dev (MLINFRA_ENV)\n"
    assert mlinfra("env", "show", "-q").err == ""


def test_an_emulated_environment_says_so(mlinfra, project: Path, cloud_document):
    (project / "aws.json").write_text(json.dumps({**cloud_document, "name": "aws-emulated", "emulated": True}))
    mlinfra("env", "add", "aws.json")
    shown = mlinfra("env", "show", "aws-emulated", "-o", "json")
    assert shown.err == "[emulated] environment: aws-emulated (-e)\n"
    assert shown.document["emulated"] is True


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "not a JSON document"),
        ("[]", "an environment is a JSON object"),
        ('{"name": "x", "platform": "aws"}', "not an environment of platform 'aws'"),
        ('{"name": "aws-dev", "platform": "aws", "region": "r", "account": "1", "bogus": 1}', "bogus"),
    ],
)
def test_a_wrong_document_is_refused_whole(mlinfra, project: Path, content: str, told: str):
    (project / "wrong.json").write_text(content)
    shown = mlinfra("env", "add", "wrong.json")
    assert shown.code == 2
    assert told in shown.err
    assert not (project / ".mlinfra" / "environments").exists()


def test_another_document_of_the_same_name_needs_a_word(mlinfra, project: Path, cloud_document):
    (project / "a.json").write_text(json.dumps(cloud_document))
    (project / "b.json").write_text(json.dumps({**cloud_document, "region": "eu-central-1"}))
    assert mlinfra("env", "add", "a.json").code == 0
    assert mlinfra("env", "add", "b.json").code == 5
    assert mlinfra("env", "add", "b.json", "--replace").code == 0
    assert mlinfra("env", "show", "aws-dev", "-o", "json").document["document"]["region"] == "eu-central-1"


def test_a_protected_environment_is_named_each_time_and_confirmed(mlinfra, project: Path, cloud_document):
    (project / "prod.json").write_text(json.dumps({**cloud_document, "name": "aws-prod", "protected": True}))
    mlinfra("env", "add", "prod.json")
    assert mlinfra("env", "use", "aws-prod").code == 3
    assert mlinfra("env", "remove", "aws-prod", "--yes").code == 3
    assert mlinfra("env", "remove", "aws-prod", "--yes", "--confirm", "aws-dev").code == 3
    assert mlinfra("env", "remove", "aws-prod", "--yes", "--confirm", "aws-prod").code == 0


def test_an_unreadable_document_hides_no_other(mlinfra, project: Path):
    folder = project / ".mlinfra" / "environments"
    folder.mkdir(parents=True)
    (folder / "torn.json").write_text("{")
    found = mlinfra("env", "list", "-o", "json").document["environments"]
    assert [each["name"] for each in found] == ["local", "torn"]
    assert "not a JSON document" in found[1]["problem"]


def test_two_names_for_one_command_are_refused(mlinfra, project: Path):
    assert mlinfra("env", "show", "local", "-e", "aws-dev").code == 2


def test_permissions_need_no_login(mlinfra, project: Path):
    shown = mlinfra("env", "permissions", "-o", "json")
    assert shown.code == 0
    assert "caller" in shown.document["permissions"]
    policy = mlinfra("env", "permissions", "--policy")
    assert json.loads(policy.out) == shown.document["policy"]
