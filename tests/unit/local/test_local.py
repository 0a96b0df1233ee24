"""What is the machine at hand's alone, beside the suite that every platform passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlinfra.contract.capabilities import Capability
from mlinfra.contract.states import Approval, EndpointState, JobState
from mlinfra.engine import jobs
from mlinfra.engine.deploy import deploy
from mlinfra.engine.endpoint_changes import delete
from mlinfra.engine.endpoints import find, invoke
from mlinfra.engine.folders import Folders
from mlinfra.engine.session import Session, open_session
from mlinfra.engine.submit import submit
from mlinfra.environment import Image, LocalEnvironment
from mlinfra.errors import CapabilityError, CapacityUnavailable, Denied, NotFound, SpecError, Unavailable
from mlinfra.host.endpointtable import State
from mlinfra.spec import EndpointSpec
from mlinfra.testing.base import MAX_RUNTIME, prepared
from mlinfra.testing.models import registered
from mlinfra.testing.projects import job, write_project
from mlinfra_local import CAPABILITIES
from mlinfra_local.config import check_overrides, store_key, store_uri
from mlinfra_local.errors import translate
from mlinfra_local.observe.endpoints import _ENDPOINT_STATES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def environment(tmp_path: Path) -> LocalEnvironment:
    return LocalEnvironment(
        name="local",
        root=str(tmp_path / "a host's folder"),
        images={"runner": Image(uri="company/python:1", python="3.11")},
    )


@pytest.fixture
def session(environment: LocalEnvironment, tmp_path: Path) -> Iterator[Session]:
    folders = Folders(project=tmp_path / "project" / ".mlinfra", state=tmp_path / "state").ensure()
    write_project(folders.root)
    with open_session(environment, folders=folders, say=lambda _: None) as session:
        yield session


def test_every_word_of_the_host_for_an_endpoint_has_a_state():
    assert set(_ENDPOINT_STATES) == {state.value for state in State}
    assert EndpointState.UNKNOWN not in _ENDPOINT_STATES.values()


def test_the_host_speaks_of_jobs_and_approvals_in_the_contracts_words():
    assert {state.value for state in JobState} >= {"queued", "starting", "running", "stopping", "timed_out"}
    assert {state.value for state in Approval} == {"pending", "approved", "rejected"}


def test_every_capability_is_declared():
    assert set(CAPABILITIES) == set(Capability)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(28, "No space left on device", "/disk"), CapacityUnavailable),
        (PermissionError(13, "Permission denied", "/disk"), Denied),
        (NotFound("nothing"), NotFound),
        (RuntimeError("who knows"), Unavailable),
    ],
)
def test_every_error_is_one_of_ours(error: Exception, expected: type[Exception]):
    assert type(translate(error)) is expected


def test_an_address_leads_back_to_its_key_whatever_the_folder_is_called(environment: LocalEnvironment):
    for key in ("code/1.pyz", "inputs/a b/ä.csv", "captures/x/date=1/y.jsonl"):
        assert store_key(environment, "artefacts", store_uri(environment, "artefacts", key)) == key
    assert store_key(environment, "artefacts", "store://a/b") == "a/b"
    with pytest.raises(NotFound):
        store_key(environment, "artefacts", "file:///etc/passwd")


def test_an_override_of_an_unknown_operation_names_the_nearest():
    with pytest.raises(SpecError, match="CreateJob"):
        check_overrides({"CreateJobb": {}}, None)


def test_an_override_with_an_unknown_member_names_the_nearest(session: Session):
    spec = job("hello", "hello.py", overrides={"local": {"CreateJob": {"stop_graze": 5.0}}})
    with pytest.raises(SpecError, match="did you mean stop_grace"):
        submit(session, prepared(session, spec, session.folders.root))


def test_what_the_kit_sets_cannot_be_overridden(session: Session):
    spec = job("hello", "hello.py", overrides={"local": {"CreateJob": {"tags": {"mlinfra_id": "x"}}}})
    with pytest.raises(SpecError, match="set by the kit"):
        submit(session, prepared(session, spec, session.folders.root))


def test_an_override_reaches_the_host(session: Session):
    spec = job("sleep", "sleep.py", "60", overrides={"local": {"CreateJob": {"max_runtime": 1.0}}})
    submission = submit(session, prepared(session, spec, session.folders.root))
    ended, _ = jobs.wait(session, [submission.job], max_runtime=MAX_RUNTIME)
    assert ended[0].state is JobState.TIMED_OUT


def test_an_image_of_the_environment_stands_for_an_interpreter(session: Session):
    submission = submit(
        session, prepared(session, job("hello", "hello.py", image="company/python:1"), session.folders.root)
    )
    ended, _ = jobs.wait(session, [submission.job], max_runtime=MAX_RUNTIME)
    assert ended[0].state is JobState.SUCCEEDED


def test_an_unknown_image_is_refused_with_those_that_are_known(session: Session):
    spec = job("hello", "hello.py", image="company/cuda:12")
    with pytest.raises(CapabilityError, match="company/python:1"):
        submit(session, prepared(session, spec, session.folders.root))


@pytest.mark.thorough
def test_an_endpoint_whose_time_is_over_can_be_deployed_again(session: Session, tmp_path: Path):
    version = registered(session, tmp_path)
    spec = EndpointSpec(name="slopes", model=version.name, ttl="2s")
    deploy(session, spec)
    for _ in range(100):
        if find(session, "slopes").detail == "expired":
            break
        session.clock.sleep(0.1)
    assert find(session, "slopes").state is EndpointState.FAILED
    deploy(session, without_end(spec))
    assert invoke(session, "slopes", rows=[{"x": 2.0}]).status == 200
    assert find(session, "slopes").expires is None
    delete(session, "slopes")


def without_end(spec: EndpointSpec) -> EndpointSpec:
    return EndpointSpec.from_document({**spec.as_document(), "ttl": "never"})
