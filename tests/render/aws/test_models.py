"""Model packages as they are sent, and what the kit keeps in their metadata."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.contract.jobs import Artefact
from mlinfra.contract.models import Marks, Registration
from mlinfra.contract.states import Approval
from mlinfra.contract.steps import Done, Send
from mlinfra_aws import metadata
from mlinfra_aws.config import check_request
from mlinfra_aws.observe import version as observe_version
from mlinfra_aws.render import models

if TYPE_CHECKING:
    from mlinfra.contract.models import VersionObservation
    from mlinfra.environment import AwsEnvironment

DIGEST = f"sha256:{'a' * 64}"
OWNER = "arn:aws:sts::111122223333:assumed-role/Data Science/mara, of risk@example.com"
LINEAGE = {"job": "0" * 40, "attempt": 1, "name": "train-1", "code": "sha256:1", "params": {"depth": 6}}


@pytest.fixture
def registration() -> Registration:
    return Registration(
        model="credit-risk",
        digest=DIGEST,
        artefact=Artefact("s3://mlinfra-test/kit/models/aa", DIGEST, 1234, is_folder=True),
        manifest={},
        lineage=LINEAGE,
        metrics={"auc": 0.9},
        owner=OWNER,
        tags={"team": "risk"},
    )


def replies(version: list[dict[str, Any]], newest: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        name: {"Results": [{"ModelPackage": each} for each in found]}
        for name, found in (("version", version), ("newest", newest))
    }


def created(registration: Registration, environment: AwsEnvironment) -> VersionObservation:
    """The version as the service would tell it."""
    step = models.next_step(registration, replies([], []), environment)
    assert isinstance(step, Send)
    for request in step.requests:
        check_request(request)
    arn = f"arn:aws:sagemaker:eu-west-1:111122223333:model-package/{models.group_name('credit-risk', environment)}/1"
    told = {"ModelPackageArn": arn, "ModelPackageVersion": 1, "ModelPackageStatus": "Completed"}
    return observe_version({**step.requests[-1].body, **told}, environment)


def test_the_first_version_brings_its_group(registration: Registration, environment: AwsEnvironment):
    step = models.next_step(registration, replies([], []), environment)
    assert isinstance(step, Send)
    assert [each.operation for each in step.requests] == ["CreateModelPackageGroup", "CreateModelPackage"]
    later = models.next_step(registration, replies([], [{"ModelPackageVersion": 7}]), environment)
    assert isinstance(later, Send)
    assert [each.operation for each in later.requests] == ["CreateModelPackage"]


def test_bytes_that_are_there_are_not_registered_again(registration: Registration, environment: AwsEnvironment):
    there = {"ModelPackageArn": "arn", "ModelPackageVersion": 3}
    step = models.next_step(registration, replies([there], [there]), environment)
    assert step == Done(there)


def test_everything_survives_the_registry(registration: Registration, environment: AwsEnvironment):
    found = created(registration, environment)
    assert (found.model, found.version, found.digest, found.owner) == ("credit-risk", "1", DIGEST, OWNER)
    assert (found.lineage, found.metrics, found.tags) == (LINEAGE, {"auc": 0.9}, {"team": "risk"})
    assert found.artefact == registration.artefact
    assert found.approval is Approval.PENDING


def test_a_repetition_has_the_same_token_and_other_bytes_another(
    registration: Registration, environment: AwsEnvironment
):
    def token(given: Registration, newest: int) -> object:
        found = models.next_step(given, replies([], [{"ModelPackageVersion": newest}] if newest else []), environment)
        assert isinstance(found, Send)
        return found.requests[-1].body["ClientToken"]

    assert token(registration, 0) == token(registration, 0)
    others = {token(replace(registration, digest=f"sha256:{'b' * 64}"), 0), token(registration, 1)}
    assert token(registration, 0) not in others
    assert len(others) == 2


def test_an_alias_leaves_the_version_that_it_was_on(registration: Registration, environment: AwsEnvironment):
    first = created(registration, environment)
    (mark,) = models.mark(first, Marks(add_aliases=("champion",)), (), environment)
    check_request(mark)
    marked = observe_version({**first.native, **mark.body}, environment)
    assert marked.aliases == ("champion",)
    second = replace(first, native_id=first.native_id.replace("/1", "/2"), version="2")
    requests = models.mark(second, Marks(add_aliases=("champion",)), (marked,), environment)
    assert [each.body["ModelPackageArn"] for each in requests] == [second.native_id, marked.native_id]
    assert requests[1].body["CustomerMetadataPropertiesToRemove"] == ["alias:champion"]
    for request in requests:
        check_request(request)
        assert request.body["CustomerMetadataProperties"]["mlinfra:digest"] == DIGEST  # type: ignore[index,call-overload]  a literal


def test_marks_say_only_what_changes(registration: Registration, environment: AwsEnvironment):
    first = created(registration, environment)
    (stage,) = models.mark(first, Marks(stage="staging"), (), environment)
    assert set(stage.body) == {"ModelPackageArn", "ModelLifeCycle"}
    (approval,) = models.mark(first, Marks(approval=Approval.APPROVED), (), environment)
    assert approval.body == {"ModelPackageArn": first.native_id, "ModelApprovalStatus": "Approved"}
    (tags,) = models.mark(first, Marks(tags={"team": "fraud"}), (), environment)
    assert observe_version({**first.native, **tags.body}, environment).tags == {"team": "fraud"}


def test_two_environments_of_one_account_have_groups_of_their_own(environment: AwsEnvironment):
    other = environment.model_copy(update={"name": "aws-other"})
    names = {models.group_name("credit-risk", each) for each in (environment, other)}
    assert len(names) == 2
    assert models.model_name(models.group_name("credit-risk", environment), environment) == "credit-risk"


@given(
    params=st.dictionaries(st.text(max_size=30), st.text(max_size=3000), max_size=20),
    inputs=st.dictionaries(st.text(max_size=30), st.text(max_size=300), max_size=20),
)
def test_a_lineage_of_any_length_fits_into_fifty_pairs(params: dict[str, str], inputs: dict[str, str]):
    record = {"owner": OWNER, "lineage": {**LINEAGE, "params": params, "inputs": inputs}, "metrics": {}, "tags": {}}
    pairs = metadata.pack(DIGEST, record)
    assert len(pairs) <= 33
    assert all(0 < len(value) <= 256 for value in pairs.values())
    found = metadata.unpack(pairs)
    assert found["owner"] == OWNER
    assert found["lineage"]["job"] == LINEAGE["job"]
    assert found["lineage"]["params"] in (params, {"too long": "see the job"})


@pytest.mark.parametrize(("params", "inputs"), [(12_000, 100), (12_000, 12_000)])
def test_what_is_too_long_to_keep_says_so_and_the_rest_is_kept(params: int, inputs: int):
    rng = random.Random(7)  # noqa: S311  text that does not compress
    lineage = {**LINEAGE, "params": {"p": rng.randbytes(params).hex()}, "inputs": {"i": rng.randbytes(inputs).hex()}}
    pairs = metadata.pack(DIGEST, {"owner": OWNER, "lineage": lineage})
    assert len(pairs) <= 33
    found = metadata.unpack(pairs)
    assert found["lineage"]["params"] == {"too long": "see the job"}
    assert (found["lineage"]["inputs"] == lineage["inputs"]) is (inputs == 100)
    assert found["owner"] == OWNER
