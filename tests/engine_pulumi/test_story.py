"""The whole story on each emulator: a stack stands up, `examples/credit` runs in what it exports, everything goes."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.isolation import isolated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from conftest import Clone

CREDIT = Path(__file__).parents[2] / "examples" / "credit"
DIGEST = "sha256:" + "0" * 64


@contextmanager
def emulator(clone: Clone, platform: str) -> Iterator[None]:
    started = clone.mlinfra("emulator", "start", platform, "--delays-scale", "0.01")
    assert started.code == 0, started.err
    try:
        yield
    finally:
        clone.mlinfra("emulator", "stop", platform)


def configure(file: Path, values: Mapping[str, Any]) -> None:
    file.write_text(json.dumps({"config": {f"mlinfra:{key}": value for key, value in values.items()}}))


def done(clone: Clone, *arguments: str) -> Any:
    ended = clone.mlinfra(*arguments, "-o", "json")
    assert ended.code == 0, ended.out + ended.err
    return ended.document


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["aws", "azure", "gcp"])
def test_the_credit_example_runs_in_what_a_stack_made(
    clone: Clone, configured: Callable[[str, str], dict[str, Any]], platform: str
):
    stack = f"{platform}-dev"
    file = clone.folder / "stacks" / "config" / f"Pulumi.{stack}.yaml"
    configure(file, configured(platform, "dev"))
    shutil.copytree(CREDIT, clone.folder / "credit")
    clone.variables["PYTHONWARNINGS"] = "error,ignore::DeprecationWarning"  # of the providers' packages, for themselves
    for name, value in isolated(os.environ, clone.folder.parent / "home").items():  # the package index's settings
        clone.variables.setdefault(name, value)
    applicant = str(clone.folder / "credit" / "applicant.json")

    with emulator(clone, platform):
        assert done(clone, "env", "up", stack)["synced"] == stack
        registry = done(clone, "env", "show", stack)["document"]["registries"]["images"]
        configure(file, {**configured(platform, "dev"), "images": {"serving": f"{registry}/serving@{DIGEST}"}})
        done(clone, "env", "up", stack)
        assert [each for each in done(clone, "env", "doctor", stack)["checks"] if each["verdict"] == "failed"] == []
        done(clone, "apply", "credit/mlinfra.yaml", "-e", stack)
        before = done(clone, "endpoint", "invoke", "credit-risk", "--data", applicant, "-e", stack)

        # What the adapter made and steers is none of the stack's business.
        assert set(done(clone, "env", "preview", stack, "--expect-no-changes")["changes"]) <= {"same", "read"}
        assert set(done(clone, "env", "up", stack, "--refresh")["changes"]) <= {"same", "read", "refresh"}
        after = done(clone, "endpoint", "invoke", "credit-risk", "--data", applicant, "-e", stack)
        assert after["answer"] == before["answer"]

        gone = done(clone, "env", "destroy", stack, "--yes")
        assert gone["removed"]["endpoints"]
        assert gone["removed"]["models"]
    assert clone.mlinfra("env", "show", stack).code == 4


@pytest.mark.slow
def test_the_plain_engine_is_kept_from_the_real_cloud(clone: Clone, configured: Callable[[str, str], dict[str, Any]]):
    configure(clone.folder / "stacks" / "config" / "Pulumi.aws-dev.yaml", configured("aws", "dev"))
    clone.variables["PYTHONWARNINGS"] = "error,ignore::DeprecationWarning"
    clone.pulumi("stack", "init", "aws-dev")
    refused = clone.run("pulumi", "--non-interactive", "preview", "--stack", "aws-dev")
    assert refused.code != 0
    assert "no stand-in provider is attached" in refused.out + refused.err
    assert "Traceback" not in refused.out + refused.err
