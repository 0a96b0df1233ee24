"""Endpoints: they answer, new versions take over in steps, bad ones go back, and nothing is left behind."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.contract.capabilities import Capability, Level, support
from mlinfra.contract.states import EndpointState
from mlinfra.engine.deploy import deploy
from mlinfra.engine.effects import read
from mlinfra.engine.endpoint_changes import delete, rollback, traffic
from mlinfra.engine.endpoints import find, invoke, list_endpoints, metrics, show
from mlinfra.engine.marks import alias
from mlinfra.errors import (
    CapabilityError,
    Conflict,
    Denied,
    DeploymentFailed,
    InputRejected,
    InvocationFailed,
    NotFound,
    RolledBack,
)
from mlinfra.spec import EndpointSpec
from mlinfra.testing.base import Suite
from mlinfra.testing.load import under_load
from mlinfra.testing.models import registered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlinfra.contract.models import VersionObservation
    from mlinfra.engine.session import Session

ROLLOUT = {"strategy": "canary", "steps": ["10%", "50%", "100%"], "bake": "1s", "min_requests": 20}


def endpoint(model: str = "slopes@champion", **fields: Any) -> EndpointSpec:
    """An endpoint with one variant."""
    return EndpointSpec(name="slopes", model=model, **fields)


def champion(session: Session, folder: Path, slope: float) -> VersionObservation:
    """Register a version and let the alias point at it."""
    version = registered(session, folder, slope=slope)
    alias(session, version.name, "champion")
    return version


def answer(session: Session, *values: float) -> list[float]:
    """What the endpoint predicts for some rows."""
    reply = invoke(session, "slopes", rows=[{"x": value} for value in values])
    predictions: list[float] = json.loads(reply.body)["predictions"]
    return predictions


class EndpointSuite(Suite):
    """What a platform's endpoints must do, with the kit's help."""

    @pytest.fixture(autouse=True)
    def _gone_at_the_end(self, session: Session) -> Iterator[None]:
        yield
        delete(session, "slopes")

    def test_an_endpoint_answers_in_the_order_of_the_rows(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        outcome = deploy(session, endpoint())
        assert outcome.endpoint is not None
        assert outcome.endpoint.state is EndpointState.READY
        assert sum(outcome.endpoint.traffic.values()) == 100
        assert answer(session, 1.0, 2.0, 3.0) == [2.0, 4.0, 6.0]

    def test_deploying_what_is_there_changes_nothing(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        first, second = deploy(session, endpoint()), deploy(session, endpoint())
        assert first.endpoint is not None
        assert second.endpoint is not None
        assert second.change.value == "unchanged"
        assert second.endpoint.traffic == first.endpoint.traffic

    def test_a_bad_row_is_refused_with_row_and_column(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        with pytest.raises(InputRejected) as refusal:
            invoke(session, "slopes", rows=[{"x": 1.0}, {"x": "plenty"}])
        assert [(cell["row"], cell["column"]) for cell in refusal.value.rows] == [(1, "x")]

    def test_a_version_takes_over_step_by_step_without_a_failed_request(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint(rollout=ROLLOUT))
        champion(session, tmp_path, 3.0)
        with under_load(session, "slopes", {"x": 1.0}) as load:
            outcome = deploy(session, endpoint(rollout=ROLLOUT))
        assert load.failed() == {}
        assert outcome.rollout is not None
        reached = [decision.percent for decision in outcome.rollout.decisions if decision.verb == "reached"]
        assert reached == [10, 50, 100]
        assert answer(session, 1.0) == [3.0]
        assert len(find(session, "slopes").deployments) == 1

    def test_a_version_that_answers_errors_is_rolled_back_by_itself(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint(rollout=ROLLOUT))
        before = find(session, "slopes").deployments[0].name
        register_broken(session, tmp_path)
        with under_load(session, "slopes", {"x": 7.0}) as load, pytest.raises(RolledBack):
            deploy(session, endpoint(rollout=ROLLOUT))
        assert load.failed().get(before, 0) == 0
        assert find(session, "slopes").traffic == {before: 100}
        assert answer(session, 1.0) == [2.0]

    def test_a_version_that_never_becomes_ready_gets_no_traffic(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint(rollout=ROLLOUT))
        register_stillborn(session, tmp_path)
        with under_load(session, "slopes", {"x": 1.0}) as load, pytest.raises(DeploymentFailed):
            deploy(session, endpoint(rollout=ROLLOUT))
        assert load.failed() == {}
        assert len(find(session, "slopes").deployments) == 1
        assert answer(session, 1.0) == [2.0]

    def test_the_way_back_is_one_command(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        champion(session, tmp_path, 3.0)
        deploy(session, endpoint())
        assert answer(session, 1.0) == [3.0]
        rollback(session, "slopes")
        assert answer(session, 1.0) == [2.0]

    def test_standing_variants_share_the_traffic(self, session: Session, tmp_path: Path) -> None:
        one, two = registered(session, tmp_path, slope=2.0), registered(session, tmp_path, slope=3.0)
        variants = {"one": {"model": one.name, "traffic": "50%"}, "two": {"model": two.name, "traffic": "50%"}}
        deploy(session, EndpointSpec(name="slopes", deployments=variants))
        answers = [answer(session, 1.0)[0] for _ in range(40)]
        assert {answers.count(2.0), answers.count(3.0)} <= set(range(10, 31))
        traffic(session, "slopes", {"one": 100})
        assert {answer(session, 1.0)[0] for _ in range(10)} == {2.0}

    def test_one_deployment_can_be_asked_by_name(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        name = find(session, "slopes").deployments[0].name
        if support(session.adapter.capabilities, Capability.ENDPOINT_TARGET).level is Level.ABSENT:
            with pytest.raises(CapabilityError):
                invoke(session, "slopes", rows=[{"x": 1.0}], deployment=name)
            return
        assert invoke(session, "slopes", rows=[{"x": 1.0}], deployment=name).deployment in {"", name}
        with pytest.raises(NotFound):
            invoke(session, "slopes", rows=[{"x": 1.0}], deployment="nobody")

    def test_requests_errors_and_rejections_are_counted_apart(self, session: Session, tmp_path: Path) -> None:
        register_broken(session, tmp_path)
        deploy(session, endpoint())
        renderer = session.adapter.endpoints
        for row in [{"x": 1.0}] * 5 + [{"x": 7.0}] * 3 + [{"x": "plenty"}] * 2:
            body = json.dumps({"instances": [row]}).encode()
            request = renderer.invoke(find(session, "slopes"), None, body, "application/json", session.environment)
            read(session, request)
        session.clock.sleep(2 * (renderer.METRIC_PERIOD + renderer.METRIC_DELAY))
        (figures,) = metrics(session, "slopes").values()
        assert (figures.errors, figures.rejected) == (3, 2)
        assert figures.requests >= 10

    def test_a_servers_error_is_told_apart_from_a_refusal(self, session: Session, tmp_path: Path) -> None:
        register_broken(session, tmp_path)
        deploy(session, endpoint())
        with pytest.raises(InvocationFailed):
            invoke(session, "slopes", rows=[{"x": 7.0}])

    def test_where_approval_is_asked_for_an_unapproved_version_is_not_deployed(
        self, session: Session, tmp_path: Path
    ) -> None:
        champion(session, tmp_path, 2.0)
        production = replace(session, environment=session.environment.model_copy(update={"stage": "prod"}))
        with pytest.raises(Denied):
            deploy(production, endpoint())
        assert list(list_endpoints(session)) == []

    def test_it_says_how_to_call_it(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        known = show(session, "slopes")
        assert known.endpoint.url in known.snippets.curl
        compile(known.snippets.python, "snippet", "exec")

    @pytest.mark.parametrize(
        ("capability", "fields"),
        [
            (Capability.ENDPOINT_AUTOSCALE, {"scale": {"min": 1, "max": 4}}),
            (Capability.ENDPOINT_PUBLIC, {"access": {"public": True}}),
            (Capability.ENDPOINT_CALLERS, {"access": {"callers": ["somebody"]}}),
            (Capability.ENDPOINT_ACCELERATOR, {"resources": {"accelerator": {"kind": "t4"}}}),
        ],
    )
    def test_an_absent_capability_is_refused_with_its_reason(
        self, session: Session, tmp_path: Path, capability: Capability, fields: dict[str, Any]
    ) -> None:
        champion(session, tmp_path, 2.0)
        cell = support(session.adapter.capabilities, capability)
        if cell.level is Level.ABSENT:
            with pytest.raises(CapabilityError) as refusal:
                deploy(session, endpoint(**fields))
            assert cell.reason in str(refusal.value)
            assert list(list_endpoints(session)) == []
        else:
            deploy(session, endpoint(**fields))

    def test_a_deleted_endpoint_is_gone_and_deleting_again_does_no_harm(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        assert [each.name for each in list_endpoints(session)] == ["slopes"]
        assert delete(session, "slopes")
        assert not delete(session, "slopes")
        assert list(list_endpoints(session)) == []
        with pytest.raises(NotFound):
            find(session, "slopes")

    def test_a_version_that_serves_is_not_deleted(self, session: Session, tmp_path: Path) -> None:
        from mlinfra.engine.deletion import delete as delete_version  # noqa: PLC0415  the word is taken here

        version = registered(session, tmp_path)
        deploy(session, endpoint(version.name))
        with pytest.raises(Conflict):
            delete_version(session, version.name, endpoints=list(list_endpoints(session)))


def register_broken(session: Session, folder: Path) -> None:
    """A version that answers its example and fails on 7; it becomes the champion."""
    _register(session, folder / "broken", "def predict(rows):\n    return [1 / (7.0 - row['x']) for row in rows]\n")


def register_stillborn(session: Session, folder: Path) -> None:
    """A version whose server cannot load it; it becomes the champion."""
    _register(session, folder / "stillborn", "raise RuntimeError('this model is not well')\n")


def _register(session: Session, folder: Path, code: str) -> None:
    from mlinfra.engine.models import register  # noqa: PLC0415  a helper of these two alone
    from mlinfra.modelkit import save_model  # noqa: PLC0415  a helper of these two alone

    folder.mkdir()
    (folder / "model.py").write_text(code)
    save_model(folder / "model.py", folder / "package", example=[{"x": 1.0}, {"x": 2.0}])
    version = register(session, "slopes", folder / "package")
    alias(session, version.name, "champion")
