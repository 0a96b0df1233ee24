"""`plan` and `spec`: what files would lead to, and what they may hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def test_a_plan_prints_the_request_that_would_be_sent(mlinfra, hello):
    shown = mlinfra("plan", "hello.yaml", "-o", "json")
    assert (shown.code, shown.err) == (0, "environment: local (default)\n")
    (plan,) = shown.document["plans"]
    assert (plan["kind"], plan["name"], plan["observed"], plan["refusal"]) == ("job", "hello", "empty", "")
    assert plan["requests"][-1]["operation"] == "CreateJob"
    assert {choice["subject"] for choice in plan["choices"]} >= {"machine", "interpreter"}
    people = mlinfra("plan", "hello.yaml")
    assert "CreateJob" in people.out
    assert "the empty state" in people.out


def test_planning_leaves_nothing_behind_but_the_cache(mlinfra, project: Path, hello):
    mlinfra("plan", "hello.yaml")
    assert {path.name for path in (project / ".mlinfra").iterdir()} <= {"cache", ".gitignore"}


@pytest.mark.thorough
def test_a_live_plan_asks_what_is_there(mlinfra, hello):
    first = mlinfra("plan", "hello.yaml", "--live", "-o", "json").document["plans"][0]
    assert (first["observed"], first["notes"]) == ("live", [])
    assert mlinfra("job", "submit", "hello.yaml", "--wait").code == 0
    again = mlinfra("plan", "hello.yaml", "--live", "-o", "json").document["plans"][0]
    assert "it would be reused" in again["notes"][0]


def test_what_is_planned_is_what_is_sent(mlinfra, hello):
    plan = mlinfra("plan", "hello.yaml", "-o", "json").document["plans"][0]
    job = mlinfra("job", "submit", "hello.yaml", "-o", "json").document["job"]
    assert plan["requests"][-1]["body"]["name"] == job["name"]
    mlinfra("job", "wait", job["handle"])


def test_every_platform_stands_side_by_side(mlinfra, project: Path, hello):
    shown = mlinfra("plan", "hello.yaml", "--all", "-o", "json")
    assert shown.code == 0
    assert "local" in [plan["platform"] for plan in shown.document["plans"]]


def test_what_a_platform_cannot_do_is_part_of_the_comparison(mlinfra, project: Path):
    (project / "gpu.yaml").write_text(
        "version: 1\nkind: job\nname: gpu\ncommand: [python]\nresources: {accelerator: {kind: h100, count: 8}}\n"
    )
    alone = mlinfra("plan", "gpu.yaml")
    assert alone.code == 2
    plans = mlinfra("plan", "gpu.yaml", "--all", "-o", "json").document["plans"]
    refused = next(plan for plan in plans if plan["platform"] == "local")
    assert "resources.accelerator cannot be had on local" in refused["refusal"]


def test_the_code_that_would_travel_is_listed(mlinfra, project: Path, hello):
    (project / "train.py").write_text("print(1)\n")
    (project / ".env").write_text("SECRET=1\n")
    shown = mlinfra("plan", "hello.yaml", "--files", "-o", "json")
    paths = {each["path"] for each in shown.document["files"]}
    assert "train.py" in paths
    assert ".env" not in paths
    assert shown.document["size"] == sum(each["size"] for each in shown.document["files"])


def test_settings_change_the_plan(mlinfra, hello):
    plan = mlinfra("plan", "hello.yaml", "--set", "resources.max_runtime=1h", "-o", "json").document["plans"][0]
    plain = mlinfra("plan", "hello.yaml", "-o", "json").document["plans"][0]
    assert plan["requests"][-1]["body"] != plain["requests"][-1]["body"]
    assert mlinfra("plan", "hello.yaml", "--set", "resources.max_runtim=1h").code == 2


@pytest.mark.parametrize("options", [["--all", "--live"], ["--live", "--files"], ["--all", "--live", "--files"]])
def test_ways_to_plan_exclude_each_other(mlinfra, hello, options: list[str]):
    assert mlinfra("plan", "hello.yaml", *options).code == 2


@pytest.mark.parametrize("command", [["plan"], ["spec", "check"], ["job", "submit"], ["endpoint", "deploy"], ["apply"]])
def test_a_file_that_is_not_there_is_not_found(mlinfra, project: Path, command: list[str]):
    shown = mlinfra(*command, "nothing.yaml")
    assert shown.code == 4
    assert "given: nothing.yaml" in shown.err


@pytest.mark.parametrize("command", [["plan"], ["spec", "check"], ["job", "submit"], ["endpoint", "deploy"], ["apply"]])
def test_a_wrong_file_is_refused_by_every_command_alike(mlinfra, project: Path, command: list[str]):
    (project / "bad.yaml").write_text("version: 1\nkind: job\nname: hello\ncomand: [python]\n")
    shown = mlinfra(*command, "bad.yaml")
    assert shown.code == 2
    assert "bad.yaml:4:1" in shown.err
    assert "command" in shown.err


def test_warnings_are_told_and_stop_nothing(mlinfra, project: Path):
    text = "version: 1\nkind: job\nname: risky\ncommand: [python]\nenv: {DB_PASSWORD: x}\n"
    (project / "risky.yaml").write_text(text)
    shown = mlinfra("spec", "check", "risky.yaml", "-o", "json")
    assert shown.code == 0
    assert "looks like a secret" in shown.document["warnings"][0]
    assert "warning: " in shown.err


def test_the_schema_is_one_for_editors(mlinfra, project: Path):
    schema = json.loads(mlinfra("spec", "schema").out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert mlinfra("spec", "schema", "-o", "json").document["json_schema"] == schema


def test_fields_are_explained(mlinfra, project: Path):
    shown = mlinfra("spec", "explain", "resources.spot", "-o", "json")
    (field,) = shown.document["fields"]
    assert (field["path"], field["default"]) == ("resources.spot", "false")
    assert {each["path"] for each in mlinfra("spec", "explain", "-o", "json").document["fields"]} >= {"job", "endpoint"}
    assert mlinfra("spec", "explain", "resources.spott").code == 2
    assert mlinfra("spec", "explain", "--markdown").out.startswith("# ")
