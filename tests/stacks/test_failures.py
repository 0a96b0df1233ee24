"""What the engine says, as errors of ours: one cause, no trace, the right exit code."""

from __future__ import annotations

import pytest

from mlinfra.errors import CapabilityError, Denied, DeploymentFailed, EnvironmentNotFound, MlinfraError, SpecError
from mlinfra.infra.automation.failures import of_run

TRACE = """error: Traceback (most recent call last):
  File "x.py", line 3, in create
    raise Conflict()
mlinfra.errors.Conflict: the bucket is not empty; given: data
"""


def test_a_refused_configuration_is_a_spec_error_with_its_problems():
    said = (
        "2 problems in the configuration of stack s; nothing was registered\n"
        "mlinfra:stage: must be 'dev'; given: prd\nmlinfra:slots: must be greater; given: -1\n\nResources: 1"
    )
    error = of_run("s", [said], [], "")
    assert isinstance(error, SpecError)
    assert error.what == "2 problems in the configuration of stack s; nothing was registered"
    assert [problem.what.partition(":")[2].partition(":")[0] for problem in error.problems] == ["stage", "slots"]
    assert error.exit_code == 2


def test_of_a_trace_the_last_line_is_told():
    error = of_run("s", [TRACE], [], "")
    assert isinstance(error, DeploymentFailed)
    assert "the bucket is not empty; given: data" in error.what
    assert "Traceback" not in str(error)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("error: incorrect passphrase", Denied),
        ("error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE", Denied),
        ("error: no stack named 'x' found", EnvironmentNotFound),
        ("error: could not read plugin [/x]: exit status 1", CapabilityError),
        ("error: no resource plugin 'pulumi-resource-aws' found", CapabilityError),
        ("error: resource urn is protected", Denied),
        ("error: something nobody knows", DeploymentFailed),
        ("", DeploymentFailed),
    ],
)
def test_the_engines_words_have_their_errors(said: str, kind: type[MlinfraError]):
    assert type(of_run("s", [], [], said)) is kind
