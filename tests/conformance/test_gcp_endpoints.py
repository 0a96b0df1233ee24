"""What Vertex AI's endpoints alone do, on the emulator.

Cloud Monitoring counts by the minute, so the emulator and the engine live in a time that is faster than the machine's.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.contract.requests import Request
from mlinfra.engine.deploy import deploy
from mlinfra.engine.endpoint_changes import delete
from mlinfra.engine.endpoints import find, invoke
from mlinfra.spec import EndpointSpec
from mlinfra.testing.base import Suite
from mlinfra.testing.endpoints import answer, champion, endpoint
from mlinfra.testing.models import registered

from .fast import OnTheEmulator

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.engine.session import Session

pytestmark = pytest.mark.slow


class OnTheCloud(OnTheEmulator):
    platform = "gcp"


class TestWhatVertexAloneDoes(OnTheCloud, Suite):
    def test_a_deployment_is_asked_by_name_as_long_as_it_has_traffic(self, session: Session, tmp_path: Path) -> None:
        one, two = registered(session, tmp_path, slope=2.0), registered(session, tmp_path, slope=3.0)
        variants = {"one": {"model": one.name, "traffic": "80%"}, "two": {"model": two.name, "traffic": "20%"}}
        deploy(session, EndpointSpec(name="slopes", deployments=variants))
        by_version = {each.version: each.name for each in find(session, "slopes").deployments}
        told = invoke(session, "slopes", rows=[{"x": 1.0}], deployment=by_version[two.version])
        assert (told.deployment, json.loads(told.body)) == (by_version[two.version], {"predictions": [3.0]})
        delete(session, "slopes")

    def test_a_newcomer_that_cannot_be_asked_is_told_not_to_be_probed(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        champion(session, tmp_path, 3.0)
        outcome = deploy(session, endpoint())
        assert outcome.rollout is not None
        assert any("a request to Vertex AI names no deployment" in each.reason for each in outcome.rollout.decisions)
        delete(session, "slopes")

    def test_a_stack_s_shell_is_filled_and_emptied(self, session: Session, tmp_path: Path) -> None:
        place = f"projects/{session.environment.account}/locations/{session.environment.region}"
        body: dict[str, Any] = {
            "parent": place,
            "endpointId": "123456789",
            "endpoint": {"displayName": "shell", "description": "theirs"},
        }
        session.client.send(Request("shell", "EndpointService", "CreateEndpoint", body, repeatable=True))
        shelled = session.environment.model_copy(
            update={"native": {**session.environment.native, "shells": {"slopes": "123456789"}}}
        )
        champion(session, tmp_path, 2.0)
        filling = replace(session, environment=shelled)
        session.clock.sleep(60.0)
        deploy(filling, endpoint())
        assert answer(filling, 1.0) == [2.0]
        assert find(filling, "slopes").native_id.endswith("/endpoints/123456789")
        assert delete(filling, "slopes")
        question = Request(
            "look", "EndpointService", "GetEndpoint", {"name": f"{place}/endpoints/123456789"}, effect=False
        )
        left = session.client.send(question)
        assert (left["displayName"], left["description"], left.get("labels"), left.get("deployedModels")) == (
            "shell",
            "theirs",
            None,
            None,
        )
