"""Endpoints on each cloud's emulator: the suite that every platform must pass, and what all can show beside it.

What is one cloud's alone lies in `test_<cloud>_endpoints.py`. Metrics are counted by the minute, so the emulator and
the engine live in a time that is faster than the machine's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pytest

from mlinfra.emulator.faults import Fault
from mlinfra.emulator.platforms import PLATFORMS, load
from mlinfra.emulator.settings import Settings
from mlinfra.engine.deploy import deploy
from mlinfra.engine.endpoint_changes import delete
from mlinfra.engine.endpoints import find, invoke, logs, show
from mlinfra.engine.replay import replay
from mlinfra.errors import Denied, DeploymentFailed, InputRejected
from mlinfra.testing import EndpointSuite
from mlinfra.testing.base import Suite
from mlinfra.testing.endpoints import answer, champion, endpoint, register_stillborn

from .fast import SPEED, OnTheEmulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlinfra.engine.session import Session

pytestmark = pytest.mark.slow

PATIENCE = 20.0  # real s


class Cloud(NamedTuple):
    """What differs: the effects of an endpoint's life, how the service throttles, rights, what outlives an endpoint.

    `scaled` is what the spec asks for, so that all effects happen.
    """

    effects: tuple[str, ...]
    throttling: dict[str, Any]
    rights: tuple[str, ...]
    stays: str  # in the names of registered versions
    scaled: dict[str, Any]


_SAGEMAKER = (
    "CreateModel",
    "CreateEndpointConfig",
    "CreateEndpoint",
    "UpdateEndpoint",
    "UpdateEndpointWeightsAndCapacities",
    "DeleteEndpoint",
    "DeleteEndpointConfig",
    "DeleteModel",
)
_ML = "Microsoft.MachineLearningServices/workspaces"
CLOUDS = {
    "aws": Cloud(
        effects=_SAGEMAKER,
        throttling={"code": "ThrottlingException", "message": "Rate exceeded", "status": 400},
        rights=tuple(f"sagemaker:{each}" for each in (*_SAGEMAKER, "DescribeEndpoint", "ListModels", "InvokeEndpoint")),
        stays=":model-package",
        scaled={},
    ),
    "gcp": Cloud(
        effects=(
            "CreateEndpoint",
            "UploadModel",
            "DeployModel",
            "UpdateEndpoint",
            "UndeployModel",
            "DeleteModel",
            "DeleteEndpoint",
        ),
        throttling={"code": "RESOURCE_EXHAUSTED", "message": "Quota exceeded per minute", "status": 429},
        rights=(
            *(
                f"aiplatform.endpoints.{verb}"
                for verb in ("create", "get", "deploy", "update", "undeploy", "delete", "predict")
            ),
            *(f"aiplatform.models.{verb}" for verb in ("upload", "list", "delete")),
            "aiplatform.operations.list",
        ),
        stays="/models/(?!mlinfra-slopes-)",  # but for those that serve
        scaled={},
    ),
    "azure": Cloud(
        effects=(
            "OnlineEndpoints_CreateOrUpdate",
            "EnvironmentVersions_CreateOrUpdate",
            "OnlineDeployments_CreateOrUpdate",
            "AutoscaleSettings_CreateOrUpdate",
            "AutoscaleSettings_Delete",
            "OnlineDeployments_Delete",
            "OnlineEndpoints_Delete",
        ),
        throttling={"code": "TooManyRequests", "message": "Too many requests", "status": 429},
        rights=(
            *(f"{_ML}/onlineEndpoints/{verb}" for verb in ("read", "write", "delete", "score/action")),
            *(f"{_ML}/onlineEndpoints/deployments/{verb}" for verb in ("read", "write", "delete")),
            *(f"Microsoft.Insights/autoscalesettings/{verb}" for verb in ("read", "write", "delete")),
            f"{_ML}/environments/versions/write",
            "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
        ),
        stays="/models/",
        scaled={"scale": {"min": 1, "max": 2}},
    ),
}


class OnEachCloud(OnTheEmulator):
    @pytest.fixture(params=PLATFORMS)
    def emulator(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
        with load(request.param)(tmp_path / "emulator", self.settings) as emulator:
            yield emulator

    @pytest.fixture
    def cloud(self, emulator: Any) -> Cloud:
        return CLOUDS[emulator.platform]


class TestEndpoints(OnEachCloud, EndpointSuite):
    pass


class TestBesideTheSuite(OnEachCloud, Suite):
    @pytest.mark.parametrize("emulator", ["gcp", "azure"], indirect=True)
    def test_who_watches_a_rollout_is_said_with_the_reason(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        champion(session, tmp_path, 3.0)
        outcome = deploy(session, endpoint())
        assert re.match(r"this process \((Vertex AI|Azure ML) has no guard", outcome.watched_by)
        delete(session, "slopes")

    @pytest.mark.parametrize("emulator", ["gcp", "azure"], indirect=True)
    def test_nothing_is_left_of_an_endpoint_that_was_scaled_rolled_out_and_deleted(
        self, session: Session, emulator: Any, tmp_path: Path
    ) -> None:
        champion(session, tmp_path, 2.0)
        champion(session, tmp_path, 3.0)
        before = emulator.leftovers()
        scale = {"min": 1, "max": 3, "per_replica": {"requests_per_minute": 600}}
        for version in ("slopes:1", "slopes:2"):
            deploy(session, endpoint(version, scale=scale))
        assert delete(session, "slopes")
        assert emulator.leftovers() == before

    def test_a_first_version_that_never_becomes_ready_leaves_nothing(
        self, session: Session, emulator: Any, tmp_path: Path
    ) -> None:
        register_stillborn(session, tmp_path)
        before = emulator.leftovers()
        with pytest.raises(DeploymentFailed):
            deploy(session, endpoint())
        assert emulator.leftovers() == before

    def test_what_it_captured_is_answered_again_bit_for_bit(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint(capture={"sample": "100%"}))
        for value in range(20):
            answer(session, float(value))
        with pytest.raises(InputRejected):
            invoke(session, "slopes", rows=[{"x": "plenty"}])
        session.clock.sleep(120.0)
        deadline = time.monotonic() + 150  # a server may write what is a minute old, by its own clock
        while not (result := replay(session, "slopes", limit=21)).asked:
            assert time.monotonic() < deadline
            time.sleep(1.0)
        assert (result.asked, result.same) == (21, 21)  # the probe of the new deployment is a request as well
        delete(session, "slopes")

    def test_the_servers_words_are_read_from_its_log(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        (name,) = find(session, "slopes").traffic
        deadline = time.monotonic() + PATIENCE  # lines come a little later than what they tell of
        for deployment in (name, None):
            while not any("listening" in line.text for line in logs(session, "slopes", deployment=deployment)):
                assert time.monotonic() < deadline
                time.sleep(0.2)
        delete(session, "slopes")

    def test_the_call_that_it_shows_is_one_that_works(self, session: Session, emulator: Any, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        known = show(session, "slopes").snippets
        child = subprocess.run(
            [sys.executable, "-c", known.python],
            env=os.environ | at_hand(session, emulator),
            capture_output=True,
            text=True,
            check=True,
        )
        assert child.stdout.strip() == "{'predictions': [2.0]}"
        subprocess.run(["/bin/sh", "-n", "-c", known.curl], check=True)
        delete(session, "slopes")


class TestWhenThingsGoWrong(OnEachCloud, Suite):
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_every_connection_breaks_once(
        self, session: Session, emulator: Any, cloud: Cloud, tmp_path: Path, when: Literal["before", "after"]
    ) -> None:
        emulator.faults.script([Fault(operation=name, nth=1, when=when, do="cut") for name in cloud.effects])
        live(session, cloud, tmp_path)
        assert {entry.operation for entry in emulator.ledger.calls() if entry.outcome == "cut"} == set(cloud.effects)
        assert left_over(emulator) == []

    def test_every_operation_is_throttled_once(
        self, session: Session, emulator: Any, cloud: Cloud, tmp_path: Path
    ) -> None:
        throttled = {"do": "fail", "when": "before", "nth": 1, **cloud.throttling}
        emulator.faults.script([Fault(operation=name, **throttled) for name in cloud.effects])
        live(session, cloud, tmp_path)
        refused = {entry.operation for entry in emulator.ledger.calls() if entry.outcome != "ok"}
        assert refused >= set(cloud.effects)
        assert left_over(emulator) == []

    @pytest.mark.parametrize(
        ("emulator", "permission"),
        [(name, right) for name, cloud in CLOUDS.items() for right in cloud.rights],
        indirect=["emulator"],
    )
    def test_a_permission_that_is_missing_is_named(
        self, session: Session, emulator: Any, cloud: Cloud, tmp_path: Path, permission: str
    ) -> None:
        of_azure = session.environment.native["credentials"].get("principal")
        identity = of_azure if emulator.platform == "azure" else session.environment.identities["deployer"]
        with emulator.policy.without(identity, permission), pytest.raises(Denied, match=permission):
            live(session, cloud, tmp_path)


class TestListsThatLag(OnEachCloud, Suite):
    settings = Settings(speed=SPEED, list_lag=20.0)

    def test_what_lists_do_not_show_yet_is_made_once_and_what_they_still_show_is_no_fault(
        self, session: Session, emulator: Any, cloud: Cloud, tmp_path: Path
    ) -> None:
        live(session, cloud, tmp_path)
        assert left_over(emulator) == []


def live(session: Session, cloud: Cloud, tmp_path: Path) -> None:
    """A whole life of an endpoint: made, replaced, deleted."""
    champion(session, tmp_path, 2.0)
    deploy(session, endpoint(**cloud.scaled))
    assert answer(session, 1.0) == [2.0]
    champion(session, tmp_path, 3.0)
    deploy(session, endpoint(**cloud.scaled))
    assert answer(session, 1.0) == [3.0]
    assert delete(session, "slopes")


def left_over(emulator: Any) -> list[str]:
    """What stands behind no endpoint any more, once what is being deleted has had its time; versions stay."""
    deadline = time.monotonic() + PATIENCE
    while left := [name for name in emulator.leftovers() if not re.search(CLOUDS[emulator.platform].stays, name)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return left


def at_hand(session: Session, emulator: Any) -> dict[str, str]:
    """What whoever runs the call that is shown has in the environment: on AWS keys, else what leads to the emulator."""
    if emulator.platform != "aws":
        return dict(emulator.variables())
    return {f"AWS_{name.upper()}": text for name, text in session.environment.native["credentials"].items()}
