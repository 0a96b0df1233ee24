"""Every command explains itself, and what it says about itself is so."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest

from mlinfra.cli.commands import Family, Verb
from mlinfra.cli.reference import commands, reference
from mlinfra.cli.root import MEMBERS, root

ROOT = Path(__file__).parents[2]
ALL = dict(commands())
VERBS = {path: command for path, command in ALL.items() if not isinstance(command, click.Group)}


def help_of(path: str) -> str:
    command = ALL[path]
    return command.get_help(click.Context(command, info_name=path, **command.context_settings))


@pytest.mark.parametrize("path", ALL)
def test_every_command_has_a_help(path: str):
    assert ALL[path].help


@pytest.mark.parametrize("path", VERBS)
def test_every_command_ends_its_help_with_an_example_of_itself(path: str):
    command = VERBS[path]
    assert isinstance(command, Verb)
    assert path in command.example
    assert help_of(path).rstrip().endswith(command.example)


@pytest.mark.parametrize("path", VERBS)
def test_an_example_is_a_command_line_that_parses(path: str):
    command = VERBS[path]
    assert isinstance(command, Verb)
    words = shlex.split(command.example.removeprefix('eval "$(').removesuffix(')"').split(" && ")[0].split(" > ")[0])
    arguments = words[len(path.split()) :]
    existing = [parameter for parameter in command.params if isinstance(parameter.type, click.Path)]
    for parameter in existing:
        parameter.type.exists = False
    command.make_context(path, arguments, obj=None)


@pytest.mark.parametrize("path", VERBS)
def test_every_option_is_explained(path: str):
    options = [parameter for parameter in VERBS[path].params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("path", VERBS)
def test_every_command_takes_the_shared_options(path: str):
    names = {name for parameter in VERBS[path].params for name in parameter.opts}
    assert {"-e", "--env", "-o", "--output", "-q", "--quiet", "--debug"} <= names


@pytest.mark.parametrize(
    "path",
    [
        "mlinfra env remove",
        "mlinfra job stop",
        "mlinfra job delete",
        "mlinfra model delete",
        "mlinfra endpoint rollback",
        "mlinfra endpoint rollout abort",
        "mlinfra endpoint delete",
    ],
)
def test_what_takes_away_asks_twice(path: str):
    names = {name for parameter in VERBS[path].params for name in parameter.opts}
    assert {"-y", "--yes", "--confirm"} <= names


@pytest.mark.parametrize("name", MEMBERS)
def test_the_list_of_commands_tells_what_each_says_of_itself(name: str):
    told = MEMBERS[name].help.rstrip(".")
    own = ALL[f"mlinfra {name}"].get_short_help_str(200).rstrip(".")
    assert own.startswith(told.split(";")[0].split(" and ")[0])


def test_the_help_lists_the_exit_codes(mlinfra):
    shown = mlinfra("--help")
    assert shown.code == 0
    assert [
        code for code in ("0", "1", "2", "3", "4", "5", "6", "70", "75", "130") if f"  {code} " not in shown.out
    ] == []


@pytest.mark.parametrize("arguments", [[], ["job"], ["endpoint", "rollout"]])
def test_an_unfinished_command_shows_the_help_on_stderr(mlinfra, arguments: list[str]):
    shown = mlinfra(*arguments)
    assert (shown.code, shown.out) == (2, "")
    assert "Commands:" in shown.err


@pytest.mark.parametrize(
    ("alias", "meant"),
    [
        (["env", "ls"], "mlinfra env list"),
        (["env", "get"], "mlinfra env show"),
        (["env", "rm"], "mlinfra env remove"),
        (["job", "create"], "mlinfra job submit"),
        (["job", "describe"], "mlinfra job show"),
        (["job", "cancel"], "mlinfra job stop"),
        (["job", "rm"], "mlinfra job delete"),
        (["model", "ls"], "mlinfra model list"),
        (["endpoint", "create"], "mlinfra endpoint deploy"),
        (["endpoint", "rollout", "get"], "mlinfra endpoint rollout show"),
        (["store", "get"], "mlinfra store get"),
    ],
)
def test_names_from_other_tools_work(mlinfra, alias: list[str], meant: str):
    shown = mlinfra(*alias, "--help")
    assert shown.code == 0
    assert shown.out.startswith("Usage: mlinfra " + " ".join(alias))
    assert ALL[meant].help.splitlines()[0][:40] in shown.out


def test_no_help_shows_the_other_names():
    assert [name for name in ("describe", "cancel") if f" {name} " in "".join(map(help_of, ALL))] == []


def test_groups_and_commands_have_the_classes_that_bring_the_shared_options():
    assert all(isinstance(command, (Verb, Family)) for command in ALL.values())
    assert isinstance(root, Family)


def test_the_written_reference_is_that_of_the_commands():
    assert (ROOT / "docs" / "cli.md").read_text() == reference()
