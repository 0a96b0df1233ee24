"""Models and versions as they are sent, and what the kit keeps with them."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.contract.jobs import Artefact
from mlinfra.contract.models import Marks, Registration
from mlinfra.contract.states import Approval
from mlinfra.contract.steps import Done, Send
from mlinfra.errors import CapabilityError, SpecError
from mlinfra_gcp import metadata
from mlinfra_gcp.config import check_request
from mlinfra_gcp.observe import version as observe_version
from mlinfra_gcp.render import models

if TYPE_CHECKING:
    from mlinfra.contract.models import VersionObservation
    from mlinfra.contract.requests import Request
    from mlinfra.environment import GcpEnvironment

DIGEST = f"sha256:{'a' * 64}"
LINEAGE = {"job": "0" * 40, "attempt": 1, "name": "train-1", "code": "sha256:1", "params": {"depth": 6}}
PLACE = "projects/111122223333/locations/europe-west4"


@pytest.fixture
def registration() -> Registration:
    return Registration(
        model="credit-risk",
        digest=DIGEST,
        artefact=Artefact("gs://mlinfra-test/kit/models/aa", DIGEST, 1234, is_folder=True),
        manifest={},
        lineage=LINEAGE,
        metrics={"auc": 0.9},
        owner="mara@example.com",
        tags={"team": "risk"},
    )


def sent(registration: Registration, environment: GcpEnvironment, reply: dict[str, Any] | None = None) -> Request:
    step = models.next_step(registration, {"version": reply}, environment)
    assert isinstance(step, Send)
    (request,) = step.requests
    check_request(request)
    return request


def created(registration: Registration, environment: GcpEnvironment, number: str = "1") -> VersionObservation:
    """The version as the service would tell it."""
    body: Any = sent(registration, environment).body
    name = f"{PLACE}/models/{models.model_id('credit-risk', environment)}@{number}"
    told = {"name": name, "versionId": number, "versionAliases": ["default"] if number == "1" else [], "etag": "e"}
    return observe_version({**body["model"], **told}, environment)


def test_the_first_version_makes_the_model_and_the_next_goes_into_it(
    registration: Registration, environment: GcpEnvironment
):
    own = models.model_id("credit-risk", environment)
    first, second = sent(registration, environment), sent(registration, environment, {})
    assert (first.body["modelId"], "parentModel" in first.body) == (own, False)
    assert second.body["parentModel"] == f"projects/risk-prod/locations/europe-west4/models/{own}"
    assert "modelId" not in second.body


def test_an_upload_is_looked_for_by_digest_and_seen_to_its_end(registration: Registration, environment: GcpEnvironment):
    request = sent(registration, environment)
    assert not request.repeatable
    assert request.lookup is not None
    check_request(request.lookup.request)
    assert request.lookup.request.body["filter"] == f"labels.mlinfra_digest={'a' * 40}"
    assert request.follow is not None
    assert request.follow.request.operation == "GetOperation"
    check_request(request.follow.request)


def test_bytes_that_are_there_are_not_registered_again(registration: Registration, environment: GcpEnvironment):
    there = {"name": "x@3", "versionId": "3"}
    assert models.next_step(registration, {"version": {"models": [there]}}, environment) == Done(there)


def test_everything_survives_the_registry(registration: Registration, environment: GcpEnvironment):
    found = created(registration, environment)
    assert (found.model, found.version, found.digest, found.owner) == ("credit-risk", "1", DIGEST, "mara@example.com")
    assert (found.lineage, found.metrics, found.tags) == (LINEAGE, {"auc": 0.9}, {"team": "risk"})
    assert found.artefact == registration.artefact
    assert (found.approval, found.aliases) == (Approval.PENDING, ())


def test_the_vendors_own_tools_can_serve_a_version(registration: Registration, environment: GcpEnvironment):
    body: Any = sent(registration, environment).body
    container = body["model"]["containerSpec"]
    assert container["imageUri"] == environment.images["serving"].uri
    assert (container["ports"], container["predictRoute"], container["healthRoute"]) == (
        [{"containerPort": 8080}],
        "/invocations",
        "/ping",
    )


def test_without_an_image_nothing_can_be_registered(registration: Registration, environment: GcpEnvironment):
    bare = environment.model_copy(update={"images": {}})
    with pytest.raises(CapabilityError, match="mlinfra image build"):
        models.next_step(registration, {"version": None}, bare)


def test_an_alias_is_the_registrys_own(registration: Registration, environment: GcpEnvironment):
    found = created(registration, environment)
    (add,) = models.mark(found, Marks(add_aliases=("champion",)), (), environment)
    (remove,) = models.mark(found, Marks(remove_aliases=("champion",)), (), environment)
    for request in (add, remove):
        check_request(request)
        assert request.operation == "MergeVersionAliases"
        assert str(request.body["name"]).endswith("@1")
    assert (add.body["versionAliases"], remove.body["versionAliases"]) == (["champion"], ["-champion"])


@pytest.mark.parametrize("name", ["x", "default", "1st", "Champion", "a" * 129, "a-b_c"])
def test_an_alias_that_the_registry_would_refuse_is_refused_before(
    name: str, registration: Registration, environment: GcpEnvironment
):
    with pytest.raises(SpecError, match="2 to 128"):
        models.mark(created(registration, environment), Marks(add_aliases=(name,)), (), environment)


def test_stage_approval_and_tags_are_labels_beside_those_there_are(
    registration: Registration, environment: GcpEnvironment
):
    found = created(registration, environment)
    marks = Marks(stage="staging", approval=Approval.REJECTED, tags={"Team": "Fraud"})
    (request,) = models.mark(found, marks, (), environment)
    check_request(request)
    model: Any = request.body["model"]
    assert (request.operation, request.body["updateMask"], model["etag"]) == ("UpdateModel", "labels", "e")
    changed = observe_version({**found.native, "labels": model["labels"]}, environment)
    assert (changed.stage, changed.approval, changed.tags) == ("staging", Approval.REJECTED, {"team": "fraud"})
    assert changed.digest == DIGEST


def test_the_default_version_passes_its_mark_on_before_it_goes(registration: Registration, environment: GcpEnvironment):
    first = created(registration, environment)
    others = tuple(created(registration, environment, number) for number in ("2", "10"))
    requests = models.delete_version(first, others, environment)
    assert [request.operation for request in requests] == ["MergeVersionAliases", "DeleteModelVersion"]
    assert str(requests[0].body["name"]).endswith("@10")
    assert requests[0].body["versionAliases"] == ["default"]
    assert [each.operation for each in models.delete_version(others[0], (first,), environment)] == [
        "DeleteModelVersion"
    ]


def test_the_last_version_goes_with_its_model(registration: Registration, environment: GcpEnvironment):
    assert models.delete_version(created(registration, environment), (), environment) == ()
    (request,) = models.delete_model("credit-risk", environment)
    check_request(request)
    assert request.operation == "DeleteModel"


def test_a_listing_shows_what_the_kit_registered_in_this_environment(environment: GcpEnvironment):
    request = models.list_models(environment, None)
    check_request(request)
    assert request.body["filter"] == f"labels.mlinfra_environment={environment.suffix} AND labels.mlinfra_model:*"


def test_two_environments_of_one_project_have_models_of_their_own(environment: GcpEnvironment):
    other = environment.model_copy(update={"name": "gcp-other"})
    assert len({models.model_id("credit-risk", each) for each in (environment, other)}) == 2
    assert models.model_name(models.model_id("credit-risk", environment), environment) == "credit-risk"


@pytest.mark.parametrize(("params", "inputs"), [(60_000, 100), (60_000, 60_000)])
def test_what_is_too_long_to_keep_says_so_and_the_rest_is_kept(params: int, inputs: int):
    rng = random.Random(7)  # noqa: S311  any text
    lineage = {**LINEAGE, "params": {"p": rng.randbytes(params).hex()}, "inputs": {"i": rng.randbytes(inputs).hex()}}
    (variable,) = metadata.pack({"owner": "mara", "lineage": lineage})
    assert len(variable["value"]) <= 128 * 1024
    found = metadata.unpack([variable])
    assert found["lineage"]["params"] == {"too long": "see the job"}
    assert (found["lineage"]["inputs"] == lineage["inputs"]) is (inputs == 100)
    assert found["owner"] == "mara"


def test_a_moved_alias_asks_nothing_of_its_sibling(registration: Registration, environment: GcpEnvironment):
    first = replace(created(registration, environment), aliases=("champion",))
    second = created(registration, environment, "2")
    assert len(models.mark(second, Marks(add_aliases=("champion",)), (first,), environment)) == 1
