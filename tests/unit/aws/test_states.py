"""Every word of SageMaker's about jobs, versions and approval has a state; a new one never ends anything."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.loaders import Loader

from mlinfra.contract.states import Approval, JobState, VersionState
from mlinfra.environment import AwsEnvironment
from mlinfra_aws.observe import job, version
from mlinfra_aws.observe.jobs import STATES, STATES_UNDER_WAY
from mlinfra_aws.observe.models import APPROVALS
from mlinfra_aws.observe.models import STATES as VERSION_STATES

ENVIRONMENT = AwsEnvironment(name="aws-test", region="eu-west-1", account="111122223333")
SHAPES = Loader().load_service_model("sagemaker", "service-2")["shapes"]


def enum(name: str) -> set[str]:
    return set(SHAPES[name]["enum"])


def reply(status: str, secondary: str = "", **fields: Any) -> dict[str, Any]:
    return {"TrainingJobName": "x-0123456789-1", "TrainingJobStatus": status, "SecondaryStatus": secondary, **fields}


def test_every_word_for_a_job_has_a_state():
    assert enum("TrainingJobStatus") == {*STATES, "InProgress"}
    assert enum("SecondaryStatus") == set(STATES_UNDER_WAY)
    assert JobState.UNKNOWN not in {*STATES.values(), *STATES_UNDER_WAY.values()}


def test_a_job_under_way_is_never_told_as_ended():
    assert not any(state.terminal for state in STATES_UNDER_WAY.values())


def test_every_word_for_a_version_and_its_approval_is_known():
    assert enum("ModelPackageStatus") == set(VERSION_STATES)
    assert enum("ModelApprovalStatus") == set(APPROVALS)
    assert set(APPROVALS.values()) == set(Approval)


@pytest.mark.parametrize(
    ("status", "secondary", "state"),
    [
        ("InProgress", "Training", JobState.RUNNING),
        ("InProgress", "Interrupted", JobState.QUEUED),
        ("InProgress", "Dreaming", JobState.UNKNOWN),
        ("Hibernating", "Training", JobState.UNKNOWN),
        ("Stopped", "MaxRuntimeExceeded", JobState.TIMED_OUT),
        ("Stopped", "MaxWaitTimeExceeded", JobState.TIMED_OUT),
        ("Stopped", "Stopped", JobState.STOPPED),
        ("Completed", "Completed", JobState.SUCCEEDED),
        ("Deleting", "", JobState.DELETING),
    ],
)
def test_the_two_words_of_a_job_make_one_state(status: str, secondary: str, state: JobState):
    assert job(reply(status, secondary), ENVIRONMENT).state is state


@pytest.mark.parametrize(
    ("reason", "interrupted"),
    [
        ("CapacityError: Unable to provision requested ML compute capacity", True),
        ("InternalServerError: We encountered an internal error", True),
        ("AlgorithmError: the data has no rows, exit code: 3", False),
    ],
)
def test_the_platforms_faults_are_told_from_the_users(reason: str, *, interrupted: bool):
    found = job(reply("Failed", "Failed", FailureReason=reason), ENVIRONMENT)
    assert found.interrupted is interrupted
    assert found.exit_code == (None if interrupted else 3)


def test_what_create_training_job_tells_is_a_queued_job():
    arn = "arn:aws:sagemaker:eu-west-1:111122223333:training-job/x-0123456789-1"
    found = job({"TrainingJobArn": arn}, ENVIRONMENT)
    assert (found.native_id, found.state) == ("x-0123456789-1", JobState.QUEUED)


def test_a_version_of_another_tool_is_shown_without_a_digest():
    arn = "arn:aws:sagemaker:eu-west-1:111122223333:model-package/theirs/3"
    found = version({"ModelPackageArn": arn, "ModelPackageStatus": "Completed"}, ENVIRONMENT)
    assert (found.digest, found.state, found.artefact) == ("", VersionState.READY, None)
