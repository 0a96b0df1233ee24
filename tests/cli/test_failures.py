"""One place turns whatever goes wrong into four parts, a document and an exit code."""

from __future__ import annotations

import errno
import inspect
from pathlib import Path

import pytest

from mlinfra import errors
from mlinfra.cli import env as env_commands
from mlinfra.cli.failures import as_error
from mlinfra.engine import environments

TREE = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, errors.MlinfraError)]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):
    """Let `env list` meet an error."""

    def arrange(error: BaseException) -> None:
        def fail(_: object) -> None:
            raise error

        monkeypatch.setattr(env_commands.environments, "default", fail)

    return arrange


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_ends_with_its_exit_code_and_no_trace(mlinfra, failing, project: Path, kind):
    failing(kind("it went wrong", todo="try something else"))
    shown = mlinfra("env", "list")
    assert shown.code == kind.exit_code
    assert shown.out == ""
    assert shown.err.startswith("error: it went wrong\n")
    assert "Traceback" not in shown.err


def test_people_get_four_parts(mlinfra, project: Path):
    shown = mlinfra("env", "show", "nowhere")
    assert shown.code == 4
    assert shown.err.splitlines() == [
        "error: no such environment is known here",
        "  given: nowhere",
        "  allowed: local",
        "  to do: `mlinfra env sync NAME` reads a stack's output, `mlinfra env add FILE` takes a document",
    ]


def test_machines_get_one_document_and_an_empty_stderr(mlinfra, project: Path):
    shown = mlinfra("env", "show", "nowhere", "-o", "json")
    assert shown.code == 4
    assert shown.err == ""
    assert shown.document == {
        "schema": 1,
        "error": {
            "code": "EnvironmentNotFound",
            "what": "no such environment is known here",
            "exit_code": 4,
            "given": "nowhere",
            "allowed": "local",
            "todo": "`mlinfra env sync NAME` reads a stack's output, `mlinfra env add FILE` takes a document",
        },
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["jbo"], "did you mean `mlinfra job`?"),
        (["job", "sbumit"], "did you mean `mlinfra job submit`?"),
        (["endpoint", "rollout", "resmue"], "did you mean `mlinfra endpoint rollout resume`?"),
        (["qqqqqqq"], "`mlinfra --help` tells what each does"),
        (["job", "submit"], "`mlinfra job submit --help` tells what it takes"),
        (["job", "list", "--limit", "none"], "`mlinfra job list --help` tells what it takes"),
        (["job", "list", "--bogus"], "`mlinfra job list --help` tells what it takes"),
        (["job", "list", "--tag", "noequals"], "'noequals' is not KEY=VALUE"),
        (["endpoint", "metrics", "x", "--since", "soon"], "'soon' is not a length of time such as 15m or 2h"),
        (["env", "list", "-o", "yaml"], "'yaml' is not one of 'table', 'json'"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(mlinfra, project: Path, arguments: list[str], told: str):
    shown = mlinfra(*arguments)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith("error: ")
    assert told in shown.err


@pytest.mark.parametrize("option", [["-o", "json"], ["-ojson"], ["--output=json"], ["--output", "json"]])
def test_json_is_asked_for_also_where_the_rest_does_not_parse(mlinfra, project: Path, option: list[str]):
    shown = mlinfra("job", "list", "--bogus", *option)
    assert shown.code == 2
    assert shown.document["error"]["code"] == "UsageError"


@pytest.mark.parametrize("before", [True, False])
def test_shared_options_stand_before_or_after_the_command(mlinfra, project: Path, before: bool):  # noqa: FBT001  a case
    arguments = ["-o", "json", "env", "list"] if before else ["env", "list", "-o", "json"]
    assert mlinfra(*arguments).document["schema"] == 1


def test_a_fault_of_the_kit_is_reported_in_a_file(mlinfra, failing, project: Path, tmp_path_factory):
    failing(ZeroDivisionError("division by zero\nand a second line"))
    shown = mlinfra("env", "list")
    assert shown.code == 70
    assert "Traceback" not in shown.err
    first, given, todo = shown.err.splitlines()
    assert first == "error: ZeroDivisionError: division by zero"
    report = Path(given.removeprefix("  given: "))
    assert "arguments ['env', 'list']" in report.read_text()
    assert "in fail\n" in report.read_text()
    assert "report it" in todo


def test_a_report_that_cannot_be_written_hides_nothing(mlinfra, failing, project: Path, monkeypatch):
    monkeypatch.setenv("MLINFRA_HOME", str(project / "mlinfra.toml"))  # a file, so no folder can be made in it
    failing(ZeroDivisionError("division by zero"))
    shown = mlinfra("env", "list")
    assert shown.code == 70
    assert shown.err.startswith("error: ZeroDivisionError: division by zero\n  to do: run it with --debug")


def test_debug_shows_the_trace(mlinfra, failing, project: Path):
    failing(errors.Conflict("somebody was quicker"))
    shown = mlinfra("env", "list", "--debug")
    assert shown.code == 5
    assert "Traceback (most recent call last)" in shown.err
    assert shown.err.rstrip().endswith("error: somebody was quicker")


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), 75, "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 75, "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/x"), 3, "the system refuses: Permission denied"),
        (OSError(errno.EROFS, "Read-only file system", "/data/x"), 3, "the system refuses: Read-only file system"),
        (OSError(errno.EIO, "Input/output error", "/data/x"), 70, "OSError: [Errno 5]"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_the_system_refuses_has_a_code(mlinfra, failing, project: Path, *, error, code: int, told: str):
    failing(error)
    shown = mlinfra("env", "list")
    assert shown.code == code
    assert told in shown.err


def test_an_interrupt_says_how_to_go_on(mlinfra, failing, project: Path):
    failing(KeyboardInterrupt())
    shown = mlinfra("env", "list", "-o", "json")
    assert shown.code == 130
    assert shown.document["error"] == {
        "code": "Interrupted",
        "what": "interrupted; what was begun goes on",
        "exit_code": 130,
        "todo": "resume with `mlinfra env list -o json`",
    }


def test_every_problem_of_a_file_is_told(mlinfra, project: Path):
    (project / "bad.yaml").write_text("version: 1\nkind: job\nname: hello\ncomand: [python]\nparams: {a: .nan}\n")
    shown = mlinfra("spec", "check", "bad.yaml", "-o", "json")
    assert shown.code == 2
    problems = shown.document["error"]["problems"]
    assert {(each["file"], each["line"]) for each in problems} >= {("bad.yaml", 4), ("bad.yaml", 5)}


def test_what_was_known_before_the_failure_stays_in_the_document(mlinfra, project: Path, monkeypatch):
    def fail(*_: object) -> None:
        raise errors.Conflict("no")

    monkeypatch.setattr(environments, "use", fail)
    shown = mlinfra("env", "use", "local", "-o", "json")
    assert shown.document["error"]["code"] == "Conflict"
    assert "default" not in shown.document


def test_a_full_disk_below_stdout_is_temporary(mlinfra, project: Path, monkeypatch):
    class Full:
        def isatty(self) -> bool:
            return False

        def write(self, _: str) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def flush(self) -> None:
            self.write("")

    monkeypatch.setattr("sys.stdout", Full())
    assert mlinfra("env", "list").code == 75


def test_an_unknown_exception_keeps_its_first_line_alone():
    assert as_error(ValueError("one\ntwo"), None).what == "ValueError: one"
