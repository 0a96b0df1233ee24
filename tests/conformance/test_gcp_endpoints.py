"""Vertex AI's endpoints on the emulator, through the suite that every platform must pass.

Cloud Monitoring counts by the minute, so the emulator and the engine live in a time that is faster than the machine's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import pytest

from mlinfra.contract.requests import Request
from mlinfra.emulator.faults import Fault
from mlinfra.emulator.gcp import GcpEmulator
from mlinfra.emulator.settings import Settings
from mlinfra.engine.deploy import deploy
from mlinfra.engine.endpoint_changes import delete
from mlinfra.engine.endpoints import find, invoke, logs, show
from mlinfra.engine.replay import replay
from mlinfra.engine.session import open_session
from mlinfra.errors import Denied, DeploymentFailed, InputRejected
from mlinfra.spec import EndpointSpec
from mlinfra.testing import EndpointSuite
from mlinfra.testing.base import Suite
from mlinfra.testing.endpoints import answer, champion, endpoint, register_stillborn
from mlinfra.testing.models import registered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlinfra.engine.clock import Clock
    from mlinfra.engine.folders import Folders
    from mlinfra.engine.session import Session
    from mlinfra.environment import Environment

pytestmark = pytest.mark.slow

SPEED = 25.0


class OnTheEmulator:
    settings = Settings(speed=SPEED)

    @pytest.fixture
    def emulator(self, tmp_path: Path) -> Iterator[GcpEmulator]:
        with GcpEmulator(tmp_path / "emulator", self.settings) as emulator:
            yield emulator

    @pytest.fixture
    def environment(self, emulator: GcpEmulator) -> Environment:
        return emulator.environment()

    @pytest.fixture
    def session(
        self, environment: Environment, folders: Folders, emulator: GcpEmulator, emulated_time: type[Clock]
    ) -> Iterator[Session]:
        clock: Any = emulated_time
        with open_session(environment, folders=folders, say=lambda _: None, clock=clock(emulator)) as session:
            yield session


class TestEndpoints(OnTheEmulator, EndpointSuite):
    pass


def left_over(emulator: GcpEmulator) -> list[str]:
    """What stands behind no endpoint any more; registered versions stay."""
    registered = {name for name in emulator.leftovers() if "/models/" in name and "/models/mlinfra-slopes-" not in name}
    return [name for name in emulator.leftovers() if name not in registered]


class TestWhatVertexAloneDoes(OnTheEmulator, Suite):
    def test_who_watches_a_rollout_is_said_with_the_reason(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        champion(session, tmp_path, 3.0)
        outcome = deploy(session, endpoint())
        assert outcome.watched_by.startswith("this process (Vertex AI has no guard")
        delete(session, "slopes")

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

    def test_nothing_is_left_of_an_endpoint_that_was_scaled_rolled_out_and_deleted(
        self, session: Session, emulator: GcpEmulator, tmp_path: Path
    ) -> None:
        champion(session, tmp_path, 2.0)
        champion(session, tmp_path, 3.0)
        before = emulator.leftovers()
        scale = {"min": 1, "max": 3, "per_replica": {"requests_per_minute": 600}}
        for version in ("slopes:1", "slopes:2"):
            deploy(session, endpoint(version, scale=scale))
        assert delete(session, "slopes")
        assert emulator.leftovers() == before

    @pytest.mark.slow
    def test_a_first_version_that_never_becomes_ready_leaves_nothing(
        self, session: Session, emulator: GcpEmulator, tmp_path: Path
    ) -> None:
        register_stillborn(session, tmp_path)
        before = emulator.leftovers()
        with pytest.raises(DeploymentFailed):
            deploy(session, endpoint())
        assert emulator.leftovers() == before

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

    @pytest.mark.slow
    def test_what_it_captured_is_answered_again_bit_for_bit(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint(capture={"sample": "100%"}))
        for value in range(20):
            answer(session, float(value))
        with pytest.raises(InputRejected):
            invoke(session, "slopes", rows=[{"x": "plenty"}])
        deadline = time.monotonic() + 150  # the server writes what is a minute old, by its own clock
        while not (result := replay(session, "slopes", limit=21)).asked:
            assert time.monotonic() < deadline
            time.sleep(1.0)
        assert (result.asked, result.same) == (21, 21)  # the probe of the new deployment is a request as well
        delete(session, "slopes")

    @pytest.mark.slow
    def test_the_servers_words_are_read_from_its_log(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        (name,) = find(session, "slopes").traffic
        deadline = time.monotonic() + 20  # lines come a little later than what they tell of
        for deployment in (name, None):
            while not any("listening" in line.text for line in logs(session, "slopes", deployment=deployment)):
                assert time.monotonic() < deadline
                time.sleep(0.2)
        delete(session, "slopes")

    @pytest.mark.slow
    def test_the_call_that_it_shows_is_one_that_works(
        self, session: Session, emulator: GcpEmulator, tmp_path: Path
    ) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        known = show(session, "slopes").snippets
        child = subprocess.run(
            [sys.executable, "-c", known.python],
            env=os.environ | emulator.variables(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert child.stdout.strip() == "{'predictions': [2.0]}"
        subprocess.run(["/bin/sh", "-n", "-c", known.curl], check=True)
        delete(session, "slopes")


EFFECTS = (
    "CreateEndpoint",
    "UploadModel",
    "DeployModel",
    "UpdateEndpoint",
    "UndeployModel",
    "DeleteModel",
    "DeleteEndpoint",
)


@pytest.mark.slow
class TestWhenThingsGoWrong(OnTheEmulator, Suite):
    def live(self, session: Session, tmp_path: Path) -> None:
        """A whole life: made, replaced, deleted."""
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        assert answer(session, 1.0) == [2.0]
        champion(session, tmp_path, 3.0)
        deploy(session, endpoint())
        assert answer(session, 1.0) == [3.0]
        assert delete(session, "slopes")

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_every_connection_breaks_once(
        self, session: Session, emulator: GcpEmulator, tmp_path: Path, when: Literal["before", "after"]
    ) -> None:
        emulator.faults.script([Fault(operation=name, nth=1, when=when, do="cut") for name in EFFECTS])
        self.live(session, tmp_path)
        assert {entry.operation for entry in emulator.ledger.calls() if entry.outcome == "cut"} == set(EFFECTS)
        assert left_over(emulator) == []

    def test_every_operation_is_throttled_once(self, session: Session, emulator: GcpEmulator, tmp_path: Path) -> None:
        throttled = {"do": "fail", "code": "RESOURCE_EXHAUSTED", "message": "Quota exceeded per minute", "status": 429}
        emulator.faults.script([Fault(operation=name, nth=1, when="before", **throttled) for name in EFFECTS])
        self.live(session, tmp_path)
        refused = {entry.operation for entry in emulator.ledger.calls() if entry.outcome != "ok"}
        assert refused >= set(EFFECTS)
        assert left_over(emulator) == []

    @pytest.mark.parametrize(
        "permission",
        [
            *(f"endpoints.{verb}" for verb in ("create", "get", "deploy", "update", "undeploy", "delete", "predict")),
            *(f"models.{verb}" for verb in ("upload", "list", "delete")),
            "operations.list",
        ],
    )
    def test_a_permission_that_is_missing_is_named(
        self, session: Session, emulator: GcpEmulator, tmp_path: Path, permission: str
    ) -> None:
        identity = session.environment.identities["deployer"]
        missing = f"aiplatform.{permission}"
        with emulator.policy.without(identity, missing), pytest.raises(Denied, match=missing):
            self.live(session, tmp_path)


@pytest.mark.slow
class TestListsThatLag(OnTheEmulator, Suite):
    settings = Settings(speed=SPEED, list_lag=20.0)

    def test_what_lists_do_not_show_yet_is_made_once_and_what_they_still_show_is_no_fault(
        self, session: Session, emulator: GcpEmulator, tmp_path: Path
    ) -> None:
        TestWhenThingsGoWrong().live(session, tmp_path)
        assert left_over(emulator) == []
