"""Models and versions as they are sent, to a workspace or a shared registry, and what the kit keeps with them."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.contract.jobs import Artefact
from mlinfra.contract.models import Marks, Registration
from mlinfra.contract.states import Approval
from mlinfra.contract.steps import Done, Failed, Send, Wait
from mlinfra_azure import metadata
from mlinfra_azure.config import check_request
from mlinfra_azure.observe import version as observe_version
from mlinfra_azure.render import models

if TYPE_CHECKING:
    from mlinfra.contract.models import VersionObservation
    from mlinfra.contract.requests import Request
    from mlinfra.environment import AzureEnvironment

DIGEST = f"sha256:{'a' * 64}"
LINEAGE = {"job": "0" * 40, "attempt": 1, "name": "train-1", "code": "sha256:1", "params": {"depth": 6}}
URI = "https://risk.blob.core.windows.net/artefacts/kit/models/aa"
NOTHING: dict[str, Any] = {"version": None, "newest": None, "copied": None}


@pytest.fixture
def registration() -> Registration:
    return Registration(
        model="credit-risk",
        digest=DIGEST,
        artefact=Artefact(URI, DIGEST, 1234, is_folder=True),
        manifest={},
        lineage=LINEAGE,
        metrics={"auc": 0.9},
        owner="mara@example.com",
        tags={"team": "risk"},
    )


@pytest.fixture
def shared(environment: AzureEnvironment) -> AzureEnvironment:
    return environment.model_copy(update={"registry": "shared"})


def sent(registration: Registration, environment: AzureEnvironment, **replies: Any) -> Request:
    step = models.next_step(registration, {**NOTHING, **replies}, environment)
    assert isinstance(step, Send)
    (request,) = step.requests
    check_request(request)
    return request


def told(request: Request, environment: AzureEnvironment, **properties: Any) -> dict[str, Any]:
    """The version that a request makes, as the service tells it."""
    body: Any = request.body
    place = f"/workspaces/risk/models/{body['name']}/versions/{body['version']}"
    return {"id": place, "name": body["version"], "properties": {**body["body"]["properties"], **properties}}


def created(registration: Registration, environment: AzureEnvironment) -> VersionObservation:
    return observe_version(told(sent(registration, environment), environment), environment)


def test_the_next_number_follows_the_highest_that_is_in_use(registration: Registration, environment: AzureEnvironment):
    first = sent(registration, environment)
    assert (first.body["name"], first.body["version"]) == (f"credit-risk-{environment.suffix}", "1")
    newest = {"value": [{"name": "9"}, {"name": "theirs"}, {"name": "10"}]}
    assert sent(registration, environment, newest=newest).body["version"] == "11"


def test_bytes_that_are_there_are_not_registered_again(registration: Registration, environment: AzureEnvironment):
    there = {"name": "3", "properties": {"provisioningState": "Succeeded"}}
    assert models.next_step(registration, {**NOTHING, "version": {"value": [there]}}, environment) == Done(there)
    (by_digest, _) = models.observe(registration, environment)
    check_request(by_digest)
    assert by_digest.body["properties"] == f"mlinfra_digest={DIGEST}"


@pytest.mark.parametrize(("state", "step"), [("Creating", Wait), ("Updating", Wait), ("Failed", Failed)])
def test_a_version_on_its_way_is_waited_for_and_a_failed_one_told(
    registration: Registration, environment: AzureEnvironment, state: str, step: type
):
    there = {"name": "3", "properties": {"provisioningState": state}}
    assert isinstance(models.next_step(registration, {**NOTHING, "version": {"value": [there]}}, environment), step)


def test_everything_survives_the_registry(registration: Registration, environment: AzureEnvironment):
    found = created(registration, environment)
    assert (found.model, found.version, found.digest, found.owner) == ("credit-risk", "1", DIGEST, "mara@example.com")
    assert (found.lineage, found.metrics, found.tags) == (LINEAGE, {"auc": 0.9}, {"team": "risk"})
    assert found.artefact == registration.artefact
    assert (found.approval, found.aliases, found.stage) == (Approval.PENDING, (), "")


def test_marks_are_a_put_of_all_that_the_version_has(registration: Registration, environment: AzureEnvironment):
    found = created(registration, environment)
    marks = Marks(add_aliases=("champion",), stage="staging", approval=Approval.APPROVED, tags={"more": "1"})
    (request,) = models.mark(found, marks, (), environment)
    check_request(request)
    after = observe_version(told(request, environment), environment)
    assert (after.aliases, after.stage, after.approval) == (("champion",), "staging", Approval.APPROVED)
    assert after.tags == {"team": "risk", "more": "1"}
    assert replace(after, aliases=(), stage="", approval=Approval.PENDING, tags=found.tags, native={}) == replace(
        found, native={}
    )
    (removed,) = models.mark(after, Marks(remove_aliases=("champion",)), (), environment)
    assert observe_version(told(removed, environment), environment).aliases == ()


def test_an_alias_leaves_the_sibling_that_it_was_on(registration: Registration, environment: AzureEnvironment):
    found = created(registration, environment)
    (aliased,) = models.mark(found, Marks(add_aliases=("champion",)), (), environment)
    before = observe_version(told(aliased, environment), environment)
    other = replace(found, version="2", native_id="other")
    first, second = models.mark(other, Marks(add_aliases=("champion",)), (before,), environment)
    assert (first.body["version"], second.body["version"]) == ("2", "1")
    assert observe_version(told(second, environment), environment).aliases == ()


def test_a_shared_registry_gets_a_copy_of_the_workspaces_version(registration: Registration, shared: AzureEnvironment):
    for request in models.observe(registration, shared):
        check_request(request)
    create = sent(registration, shared)
    assert create.operation == "ModelVersions_CreateOrUpdate"
    own = told(create, shared, provisioningState="Succeeded")
    publish = sent(registration, shared, copied={"value": [own]})
    assert publish.operation == "ModelVersions_Publish"
    assert publish.follow is not None
    assert publish.body["body"] == {
        "registryName": "shared",
        "destinationName": f"credit-risk-{shared.suffix}",
        "destinationVersion": "1",
    }
    copy = {**own, "id": f"/registries/shared/models/credit-risk-{shared.suffix}/versions/1"}
    assert models.next_step(registration, {**NOTHING, "version": {"value": [copy]}}, shared) == Done(copy)
    found = observe_version(copy, shared)
    (mark,) = models.mark(found, Marks(stage="staging"), (), shared)
    check_request(mark)
    assert mark.operation == "RegistryModelVersions_CreateOrUpdate"


def test_a_copy_of_its_own_hides_where_the_bytes_lie_and_the_record_does_not(
    registration: Registration, shared: AzureEnvironment
):
    own = told(sent(registration, shared), shared)
    own["properties"]["modelUri"] = "https://registrys-own.blob.core.windows.net/x/y"
    assert observe_version(own, shared).artefact == registration.artefact


def test_deleting_takes_both_places(
    registration: Registration, environment: AzureEnvironment, shared: AzureEnvironment
):
    found = created(registration, environment)
    for where, deleted, emptied in (
        (environment, ["ModelVersions_Delete"], ["ModelContainers_Delete"]),
        (
            shared,
            ["RegistryModelVersions_Delete", "ModelVersions_Delete"],
            ["RegistryModelContainers_Delete", "ModelContainers_Delete"],
        ),
    ):
        requests = (models.delete_version(found, (), where), models.delete_model("credit-risk", where))
        for request in (*requests[0], *requests[1]):
            check_request(request)
        assert [[each.operation for each in some] for some in requests] == [deleted, emptied]


def test_lists_are_of_one_place_and_go_on_from_a_token(environment: AzureEnvironment, shared: AzureEnvironment):
    for where, start in ((environment, "Model"), (shared, "RegistryModel")):
        for request in (models.list_models(where, "token"), models.list_versions("m", where, "token")):
            check_request(request)
            assert request.operation.startswith(start)
            assert request.body["skip"] == "token"


def test_an_overlong_lineage_loses_what_the_job_has_as_well():
    generator = random.Random(7)  # noqa: S311  no secret
    noise = {str(number): "".join(generator.choices("abcdefgh", k=200)) for number in range(400)}
    record = {"lineage": {"name": "train-1", "params": noise, "inputs": noise}, "owner": "mara"}
    packed = metadata.pack(record)
    assert len(packed) <= 40
    assert max(map(len, packed.values())) <= 1_000
    found = metadata.unpack(packed)
    assert found["lineage"] == {
        "name": "train-1",
        "params": {"too long": "see the job"},
        "inputs": {"too long": "see the job"},
    }


def test_a_version_of_another_tool_has_no_record():
    assert metadata.unpack({}) == metadata.unpack({"mlinfra_record_0": "{"}) == {}
