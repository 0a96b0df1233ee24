"""What Azure ML's endpoints alone do, on the emulator.

Azure Monitor counts by the minute, so the emulator and the engine live in a time that is faster than the machine's.
"""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.contract.requests import Request
from mlinfra.contract.states import EndpointState
from mlinfra.emulator.azure import AzureEmulator
from mlinfra.engine.deploy import deploy
from mlinfra.engine.endpoint_changes import delete, traffic
from mlinfra.engine.endpoints import find, invoke, metrics
from mlinfra.engine.rollout_records import Ledger
from mlinfra.engine.shaping import desire, shape
from mlinfra.spec import EndpointSpec
from mlinfra.testing import EndpointSuite
from mlinfra.testing.base import Suite
from mlinfra.testing.endpoints import answer, champion, endpoint
from mlinfra.testing.models import registered

from .fast import OnTheEmulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlinfra.engine.session import Session

pytestmark = pytest.mark.slow

LAG = 30.0  # seconds for which a split that was accepted is neither told nor followed


class OnTheCloud(OnTheEmulator):
    platform = "azure"


class TestTrafficThatLags(OnTheCloud, Suite):
    """What the suite promises of moving traffic holds where an accepted split shows half a minute later."""

    @pytest.fixture
    def emulator(self, tmp_path: Path) -> Iterator[AzureEmulator]:
        with AzureEmulator(tmp_path / "emulator", self.settings) as emulator:
            emulator.endpoints.traffic_lag = LAG
            yield emulator

    test_taking_over = EndpointSuite.test_a_version_takes_over_step_by_step_without_a_failed_request
    test_going_back_by_itself = EndpointSuite.test_a_version_that_answers_errors_is_rolled_back_by_itself
    test_the_way_back = EndpointSuite.test_the_way_back_is_one_command
    test_sharing = EndpointSuite.test_standing_variants_share_the_traffic
    test_deletion = EndpointSuite.test_a_deleted_endpoint_is_gone_and_deleting_again_does_no_harm


def physical(session: Session) -> str:
    return session.adapter.endpoints.physical_name("slopes", session.environment)


class TestWhatAzureAloneDoes(OnTheCloud, Suite):
    def test_a_deployment_is_asked_by_name_without_having_traffic(self, session: Session, tmp_path: Path) -> None:
        one, two = registered(session, tmp_path, slope=2.0), registered(session, tmp_path, slope=3.0)
        variants = {"one": {"model": one.name, "traffic": "100%"}, "two": {"model": two.name, "traffic": "0%"}}
        deploy(session, EndpointSpec(name="slopes", deployments=variants))
        by_version = {each.version: each.name for each in find(session, "slopes").deployments}
        told = invoke(session, "slopes", rows=[{"x": 1.0}], deployment=by_version[two.version])
        assert (told.deployment, json.loads(told.body)) == (by_version[two.version], {"predictions": [3.0]})
        names: dict[str, Any] = {"endpointName": physical(session), "top": 1}
        listed = session.client.send(Request("look", "ml", "OnlineDeployments_List", names, effect=False))
        assert len(listed["value"]) == 2  # over two pages
        delete(session, "slopes")

    def test_a_newcomer_is_probed_before_it_has_traffic(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        champion(session, tmp_path, 3.0)
        outcome = deploy(session, endpoint())
        assert outcome.rollout is not None
        reasons = [each.reason for each in outcome.rollout.decisions]
        assert any("answers the model's 2 example rows" in reason for reason in reasons), reasons
        delete(session, "slopes")

    def test_many_ask_at_once_and_nobody_is_turned_away(self, session: Session, tmp_path: Path) -> None:
        """Azure's own limit is one request at a time for each instance, and as many again that wait."""
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        with ThreadPoolExecutor(16) as people:
            answers = list(people.map(lambda value: answer(session, float(value)), range(160)))
        assert answers == [[2.0 * value] for value in range(160)]
        delete(session, "slopes")

    def test_copies_of_requests_reach_a_shadow_whose_answers_nobody_gets(
        self, session: Session, tmp_path: Path
    ) -> None:
        one, two = registered(session, tmp_path, slope=2.0), registered(session, tmp_path, slope=3.0)
        variants = {"one": {"model": one.name, "traffic": "100%"}, "two": {"model": two.name, "traffic": "0%"}}
        deploy(session, EndpointSpec(name="slopes", deployments=variants))
        release = Ledger.open(session, "slopes").book.current
        assert release is not None
        (shadow,) = [each.name for each in release.deployments if each.variant == "two"]
        began = session.clock.now()
        shape(session, replace(desire(session, release), shadow=(shadow, 50)), between=lambda: None)
        assert {answer(session, 1.0)[0] for _ in range(60)} == {2.0}
        renderer = session.adapter.endpoints
        session.clock.sleep(2 * (renderer.METRIC_PERIOD + renderer.METRIC_DELAY))
        assert metrics(session, "slopes", since=began)[shadow].requests >= 10
        shape(session, desire(session, release), between=lambda: None)
        delete(session, "slopes")

    def test_a_second_change_while_one_runs_waits_and_never_interleaves(
        self, session: Session, emulator: AzureEmulator, tmp_path: Path
    ) -> None:
        """Somebody resizes a deployment in the portal while a new version is deployed."""
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        (old,) = find(session, "slopes").deployments
        champion(session, tmp_path, 3.0)
        resized = threading.Event()

        def resize() -> None:
            body: dict[str, Any] = {
                "endpointName": physical(session),
                "deploymentName": old.name,
                "body": {"sku": {"name": "Default", "capacity": 2}},
            }
            session.client.send(Request("theirs", "ml", "OnlineDeployments_Update", body, repeatable=True))
            resized.set()

        resize()
        assert find(session, "slopes").deployments[0].state is EndpointState.UPDATING
        emulator.ledger.clear()
        outcome = deploy(session, endpoint())
        refused = [entry for entry in emulator.ledger.calls() if entry.outcome not in {"ok", "ResourceNotFound"}]
        assert resized.is_set()
        assert [entry for entry in refused if "Conflict" in entry.outcome] == []
        assert outcome.endpoint is not None
        assert list(outcome.endpoint.traffic.values()) == [100]
        assert answer(session, 1.0) == [3.0]
        delete(session, "slopes")

    def test_traffic_that_shows_late_ends_at_the_split_that_was_asked_for(
        self, session: Session, emulator: AzureEmulator, tmp_path: Path
    ) -> None:
        one, two = registered(session, tmp_path, slope=2.0), registered(session, tmp_path, slope=3.0)
        variants = {"one": {"model": one.name, "traffic": "50%"}, "two": {"model": two.name, "traffic": "50%"}}
        deploy(session, EndpointSpec(name="slopes", deployments=variants))
        emulator.endpoints.traffic_lag = LAG
        began = session.clock.monotonic()
        traffic(session, "slopes", {"one": 30, "two": 70})
        assert session.clock.monotonic() - began >= LAG
        by_version = {each.version: each.traffic for each in find(session, "slopes").deployments}
        assert by_version == {one.version: 30, two.version: 70}
        delete(session, "slopes")

    def test_a_stack_s_shell_is_filled_and_emptied_and_running_the_stack_again_changes_no_traffic(
        self, session: Session, tmp_path: Path
    ) -> None:
        client, environment = session.client, session.environment
        names: dict[str, Any] = {"endpointName": physical(session)}
        body: dict[str, Any] = {
            "location": environment.region,
            "kind": "Managed",
            "tags": {"mlinfra_name": "slopes", "Stack": "azure-dev"},
            "identity": {
                "type": "UserAssigned",
                "userAssignedIdentities": {environment.identities["server"]: {}},
            },
            "properties": {"authMode": "Key", "publicNetworkAccess": "Enabled", "description": "theirs"},
        }
        put = "OnlineEndpoints_CreateOrUpdate"
        client.send(Request("shell", "ml", put, {**names, "body": body}, repeatable=True))
        session.clock.sleep(120.0)
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        assert answer(session, 1.0) == [2.0]
        shares = find(session, "slopes").traffic
        again = {**body, "tags": {**body["tags"], "Stack": "again"}}
        again["properties"] = {**body["properties"], "traffic": shares}  # the provider keeps what it is told to ignore
        client.send(Request("again", "ml", put, {**names, "body": again}, repeatable=True))
        session.clock.sleep(120.0)
        assert find(session, "slopes").traffic == shares
        assert deploy(session, endpoint()).change.value == "unchanged"
        assert delete(session, "slopes")
        left = client.send(Request("look", "ml", "OnlineEndpoints_Get", names, effect=False))
        assert (left["tags"], left["properties"]["description"]) == (again["tags"], "theirs")
        assert (left["properties"]["authMode"], left["properties"].get("traffic") or {}) == ("Key", {})
        listed = client.send(Request("look", "ml", "OnlineDeployments_List", names, effect=False))
        assert listed["value"] == []

    def test_an_endpoint_with_a_key_answers_whoever_may_read_it(self, session: Session, tmp_path: Path) -> None:
        for mode in ("Key", "AMLToken"):
            overrides = {"azure": {"OnlineEndpoints_CreateOrUpdate": {"properties": {"authMode": mode}}}}
            champion(session, tmp_path, 2.0)
            deploy(session, endpoint(overrides=overrides))
            assert answer(session, 1.0) == [2.0]
            delete(session, "slopes")
