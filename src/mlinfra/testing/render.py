"""Rendering: pure, the same for the same, free of SDKs, and nothing dropped in silence."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.contract.adapter import CONTRACT_VERSION
from mlinfra.contract.capabilities import Capability, Level, support
from mlinfra.contract.endpoints import EndpointDesired
from mlinfra.contract.requests import Request
from mlinfra.contract.states import JobState
from mlinfra.contract.steps import Done
from mlinfra.engine.plan import plan_job
from mlinfra.engine.prepare import prepare
from mlinfra.errors import SpecError
from mlinfra.spec import EndpointSpec
from mlinfra.testing.base import Suite
from mlinfra.testing.projects import job, training

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.contract.adapter import Adapter
    from mlinfra.engine.folders import Folders
    from mlinfra.engine.plan import Plan
    from mlinfra.environment import Environment
    from mlinfra.spec import JobSpec

# `google` alone says nothing: a namespace that Google's packages put into every process that could import them.
SDKS = ("boto3", "botocore", "azure", "google.api_core", "google.auth", "grpc", "sagemaker", "pulumi", "pandas")
MODULES = ("config", "errors", "observe", "render.jobs", "render.models", "render.endpoints")


class RenderSuite(Suite):
    """What holds without sending anything."""

    @pytest.fixture
    def plan(self, adapter: Adapter, environment: Environment, folders: Folders, project: Path) -> Plan:
        return self.planned(training("train", 0.9), adapter, environment, folders, project)

    def planned(
        self, spec: JobSpec, adapter: Adapter, environment: Environment, folders: Folders, project: Path
    ) -> Plan:
        return plan_job(prepare(spec, project, environment, adapter, folders), environment, adapter)

    def test_the_adapter_speaks_this_contract(self, adapter: Adapter) -> None:
        assert adapter.contract == CONTRACT_VERSION

    def test_every_capability_is_declared_and_every_gap_has_a_reason(self, adapter: Adapter) -> None:
        assert set(adapter.capabilities) == set(Capability)
        assert all(cell.reason for cell in adapter.capabilities.values() if cell.level is not Level.NATIVE)

    def test_importing_what_renders_loads_no_sdk(self, adapter: Adapter) -> None:
        modules = ", ".join(f"{adapter.package}.{name}" for name in MODULES)
        script = f"import sys, {modules}\nprint([name for name in {SDKS!r} if name in sys.modules])"
        child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert child.stdout.strip() == "[]"

    def test_the_same_spec_is_the_same_plan(
        self, plan: Plan, adapter: Adapter, environment: Environment, folders: Folders, project: Path
    ) -> None:
        again = self.planned(training("train", 0.9), adapter, environment, folders, project)
        assert again.as_document() == plan.as_document()

    def test_every_request_validates_offline(self, plan: Plan, adapter: Adapter) -> None:
        for request in plan.requests:
            adapter.config.check_request(request)

    def test_every_request_survives_the_journal(self, plan: Plan) -> None:
        for request in plan.requests:
            assert Request.from_document(request.as_document()) == request

    def test_the_job_carries_its_identity(self, plan: Plan) -> None:
        body = str(plan.requests[-1].as_document()["body"])
        assert "mlinfra_id" in body
        assert "mlinfra_attempt" in body

    def test_parameters_are_left_for_the_runner_to_fill_in(self, plan: Plan) -> None:
        assert "${{params.slope}}" in str(plan.requests[-1].as_document())

    def test_whatever_the_platform_does_not_do_itself_is_in_the_loss_report(
        self, adapter: Adapter, environment: Environment, folders: Folders, project: Path
    ) -> None:
        wishes: dict[Capability, dict[str, Any]] = {
            Capability.JOB_NODES: {"resources": {"nodes": 2}},
            Capability.JOB_SPOT: {"resources": {"spot": True}},
            Capability.JOB_SHELL: {},
        }
        for capability, fields in wishes.items():
            if support(adapter.capabilities, capability).level is Level.KIT:
                plan = self.planned(job("hello", "hello.py", **fields), adapter, environment, folders, project)
                assert plan.losses, capability

    def test_an_unknown_operation_in_the_overrides_is_refused(self, adapter: Adapter, environment: Environment) -> None:
        with pytest.raises(SpecError):
            adapter.config.check_overrides({"CreateTrainingJobb": {"x": 1}}, environment)

    def test_an_unknown_word_for_a_state_is_unknown_and_does_not_end(self) -> None:
        assert not JobState.UNKNOWN.terminal
        assert JobState.UNKNOWN.live

    def test_nothing_leads_to_nothing(self, adapter: Adapter, environment: Environment) -> None:
        spec = EndpointSpec(name="slopes", model="slopes@champion")
        name = adapter.endpoints.physical_name("slopes", environment)
        absent = EndpointDesired(spec=spec, name="slopes", physical_name=name, deployments=())
        assert isinstance(adapter.endpoints.next_step(absent, None, environment), Done)

    def test_the_physical_name_carries_the_environment(self, adapter: Adapter, environment: Environment) -> None:
        other = environment.model_copy(update={"name": "another"})
        names = {adapter.endpoints.physical_name("slopes", each) for each in (environment, other)}
        assert len(names) == 2

    def test_a_policy_can_be_printed_without_logging_in(self, adapter: Adapter, environment: Environment) -> None:
        assert adapter.config.permissions(environment)
        assert adapter.config.policy(environment)
