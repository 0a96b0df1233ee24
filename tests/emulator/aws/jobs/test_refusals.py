"""What is refused, and what fails a job: requests that contradict themselves, permissions, limits, places."""

from __future__ import annotations

import json

import pytest

from mlinfra.emulator.aws.wire import motoside
from mlinfra.emulator.settings import Settings

pytestmark = pytest.mark.thorough

_ACCOUNT = "111122223333"
_REGISTRY = f"{_ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"TrainingJobName": "job_bad"}, "trainingJobName"),
        ({"ResourceConfig": None}, "ResourceConfig"),
        ({"ResourceConfig": {"InstanceType": "ml.nonsense.1x"}}, "instanceType"),
        ({"ResourceConfig": {"VolumeSizeInGB": None}}, "VolumeSizeInGB"),
        ({"ResourceConfig": {"InstanceCount": 0}}, "InstanceCount"),
        ({"ResourceConfig": {"InstanceType": "ml.g5.xlarge", "VolumeKmsKeyId": "alias/a"}}, "VolumeKmsKeyId"),
        ({"ResourceConfig": {"InstancePreferences": [{"InstanceType": "ml.m5.large"}]}}, "Exactly one"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds"),
        (
            {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxWaitTimeInSeconds": 599}},
            "greater than or equal",
        ),
        ({"StoppingCondition": {"MaxWaitTimeInSeconds": 900}}, "EnableManagedSpotTraining"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 3_000_000}}, "MaxRuntimeInSeconds"),
        ({"AlgorithmSpecification": {"TrainingImage": None}}, "TrainingImage"),
        ({"AlgorithmSpecification": {"TrainingImage": "python:3.11"}}, "private Docker registry"),
        ({"AlgorithmSpecification": {"MetricDefinitions": [{"Name": "a", "Regex": "("}]}}, "regular expression"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/opt/ml/model"}}, "LocalPath"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(jobs, changes, text):
    with jobs.refused("ValidationException", text):
        jobs.create("", **changes)
    assert jobs.sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"AlgorithmSpecification": {"TrainingInputMode": "Pipe"}},
        {"AlgorithmSpecification": {"ContainerEntrypoint": None}},
        {"AlgorithmSpecification": {"AlgorithmName": "mine"}},
        {"ExperimentConfig": {"ExperimentName": "e"}},
        {"RemoteDebugConfig": {"EnableRemoteDebug": True}},
    ],
)
def test_what_is_not_emulated_says_so(jobs, changes):
    with jobs.refused("NotEmulated", "not emulated") as caught:
        jobs.create("", **changes)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_channels_are_checked(jobs):
    one = jobs.channel("a", jobs.put("a", "x"))
    with jobs.refused("ValidationException", "Duplicate channel names"):
        jobs.create("", InputDataConfig=[one, one])
    with jobs.refused("ValidationException", ".."):
        jobs.create("", InputDataConfig=[{**one, "ChannelName": ".."}])
    with jobs.refused("ValidationException", "Pipe mode"):
        jobs.create("", InputDataConfig=[jobs.channel("a", f"s3://{jobs.bucket}/data/a", "AugmentedManifestFile")])


def test_data_that_is_not_there_is_refused_in_the_services_words(jobs):
    for uri in (f"s3://{jobs.bucket}/data/nothing/", "s3://no-such-bucket/x"):
        with jobs.refused("ValidationException", f'No S3 objects found under S3 URL "{uri}"'):
            jobs.create("", InputDataConfig=[jobs.channel("a", uri)])
    with jobs.refused("ValidationException", "does not exist"):
        jobs.create("", OutputDataConfig={"S3OutputPath": "s3://no-such-bucket/x"})


def test_a_role_that_is_not_there_or_not_for_sagemaker_is_refused(jobs, environment):
    for role in (f"arn:aws:iam::{_ACCOUNT}:role/nobody", environment.identities["approver"]):
        with jobs.refused("AccessDeniedException", "iam:PassRole"):
            jobs.create("", RoleArn=role)
    _allow(jobs, "deployer", {"Action": "iam:PassRole", "Resource": "*"})
    for role in (f"arn:aws:iam::{_ACCOUNT}:role/nobody", environment.identities["approver"]):
        with jobs.refused("ValidationException", f"Could not assume role {role}"):
            jobs.create("", RoleArn=role)


def test_images_that_are_not_there_are_refused_in_the_services_words(jobs):
    with jobs.refused("ValidationException", "Cannot find repository: nothing in registry ID"):
        jobs.create("", AlgorithmSpecification={"TrainingImage": f"{_REGISTRY}/nothing:1"})
    with jobs.refused("ValidationException", "Requested image"):
        jobs.create("", AlgorithmSpecification={"TrainingImage": f"{_REGISTRY}/mlinfra/base:other"})
    foreign = _REGISTRY.replace(_ACCOUNT, "999999999999")
    with jobs.refused("ValidationException", "Access denied for repository: mlinfra/base"):
        jobs.create("", AlgorithmSpecification={"TrainingImage": f"{foreign}/mlinfra/base:1"})
    sklearn = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-scikit-learn:0.23-1-cpu-py3"
    with jobs.refused("NotEmulated", "scikit-learn"):
        jobs.create("", AlgorithmSpecification={"TrainingImage": sklearn})
    other = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-training:2.19.0-cpu-py312-ubuntu22.04-sagemaker"
    with jobs.refused("NotEmulated", "AWS's own"):
        jobs.create("", AlgorithmSpecification={"TrainingImage": other})


@pytest.mark.parametrize("verb", ["create", "describe", "stop", "delete", "update"])
def test_a_caller_without_one_permission_is_refused_exactly_that(jobs, emulator, environment, verb):
    name = jobs.run("")["TrainingJobName"]
    caller = environment.identities["deployer"]
    call = {
        "create": lambda: jobs.create(""),
        "describe": lambda: jobs.describe(name),
        "stop": lambda: jobs.sagemaker.stop_training_job(TrainingJobName=name),
        "update": lambda: jobs.sagemaker.update_training_job(TrainingJobName=name),
        "delete": lambda: jobs.sagemaker.delete_training_job(TrainingJobName=name),
    }[verb]
    action = f"sagemaker:{verb.capitalize()}TrainingJob"
    with emulator.policy.without(caller, action), jobs.refused("AccessDeniedException", action):
        call()
    if verb == "stop":
        with jobs.refused("ValidationException", "Completed"):
            call()
    else:
        call()


def test_a_role_that_may_not_list_is_refused_and_one_that_may_not_read_or_write_fails(jobs, emulator):
    with emulator.policy.without(jobs.role, "s3:ListBucket"), jobs.refused("ValidationException", "s3:ListBucket"):
        jobs.create("")
    with emulator.policy.without(jobs.role, "s3:GetObject"):
        job = jobs.run("")
    assert job["FailureReason"].startswith("ClientError: Data download failed:AccessDenied (403): User: ")
    with emulator.policy.without(jobs.role, "s3:PutObject"):
        job = jobs.run("open('/opt/ml/model/m', 'w')")
    assert job["FailureReason"].startswith("ClientError: Artifact upload failed:AccessDenied (403): User: ")
    assert jobs.keys(job["TrainingJobName"]) == []


def test_a_role_that_may_not_log_trains_without_logs(jobs, emulator):
    with emulator.policy.without(jobs.role, "logs:*"):
        job = jobs.run("print('hello')")
    assert job["TrainingJobStatus"] == "Completed"
    assert jobs.streams(job["TrainingJobName"]) == []


def test_a_role_that_may_not_pull_is_refused(jobs, emulator):
    with emulator.policy.without(jobs.role, "ecr:BatchGetImage"), jobs.refused("ValidationException", "Access denied"):
        jobs.create("")


def test_a_checkpoint_that_may_not_be_written_fails_the_job(jobs, emulator):
    config = {"S3Uri": f"s3://{jobs.bucket}/approvals/mine"}
    code = "import time; open('/opt/ml/checkpoints/c', 'w').write('c'); time.sleep(60)"
    job = jobs.run(code, CheckpointConfig=config)
    assert job["TrainingJobStatus"] == "Failed"
    assert "AccessDenied" in job["FailureReason"]


class TestLimits:
    @pytest.fixture
    def emulator_settings(self):
        return Settings(delays_scale=0.0, quotas=True)

    @pytest.fixture(autouse=True)
    def _one_call_a_second_is_another_test(self, emulator):
        emulator.quotas.limit("sagemaker", "CreateTrainingJob", 1000, 1000)

    def test_instances_of_a_type_are_limited(self, jobs, emulator):
        emulator.quotas.ceiling("ml.m5.large for training job usage", 2)
        first = jobs.create("import time; time.sleep(60)", ResourceConfig={"InstanceCount": 2})
        words = "'ml.m5.large for training job usage' is 2 Instances, with current utilization of 2 Instances"
        with jobs.refused("ResourceLimitExceeded", words):
            jobs.create("")
        assert jobs.run("", ResourceConfig={"InstanceType": "ml.c5.xlarge"})["TrainingJobStatus"] == "Completed"
        emulator.quotas.ceiling("ml.m5.large for spot training job usage", 1)
        limits = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}
        assert (
            jobs.run("", EnableManagedSpotTraining=True, StoppingCondition=limits)["TrainingJobStatus"] == "Completed"
        )
        jobs.sagemaker.stop_training_job(TrainingJobName=first)
        jobs.end(first)
        assert jobs.run("")["TrainingJobStatus"] == "Completed"

    def test_jobs_at_once_and_run_times_are_limited(self, jobs, emulator):
        emulator.quotas.ceiling("Number of concurrent training jobs", 1)
        jobs.create("import time; time.sleep(60)")
        with jobs.refused("ResourceLimitExceeded", "Number of concurrent training jobs"):
            jobs.create("")
        with jobs.refused("ResourceLimitExceeded", "Longest run time for a training job"):
            jobs.create("", StoppingCondition={"MaxRuntimeInSeconds": 6 * 86_400})


def test_keys_must_be_there_and_the_role_may_use_them(jobs, emulator):
    place = {"OutputDataConfig": {"KmsKeyId": "alias/nothing"}}
    assert "NotFoundException" in jobs.run("", **place)["FailureReason"]
    key = motoside.backend("kms", _ACCOUNT, emulator.region).create_key(
        None, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "", [], multi_region=False
    )
    place = {"OutputDataConfig": {"KmsKeyId": key.arn}}
    assert "AccessDeniedException" in jobs.run("", **place)["FailureReason"]
    _allow(jobs, "trainer", {"Action": ["kms:Encrypt"], "Resource": key.arn})
    assert jobs.run("", **place)["TrainingJobStatus"] == "Completed"
    volume = {"ResourceConfig": {"VolumeKmsKeyId": key.id}}
    assert "kms:CreateGrant" in jobs.run("", **volume)["FailureReason"]


def test_tags_need_a_permission_of_their_own(jobs, emulator, environment):
    caller = environment.identities["deployer"]
    with emulator.policy.without(caller, "sagemaker:AddTags"), jobs.refused("AccessDeniedException", "AddTags"):
        jobs.create("", Tags=[{"Key": "a", "Value": "b"}])
    assert jobs.sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


def test_a_checkpoint_folder_that_would_hide_the_emulator_is_not_emulated(jobs, emulator):
    config = {"S3Uri": f"s3://{jobs.bucket}/artefacts/c", "LocalPath": str(emulator.folder.parent)}
    with jobs.refused("NotEmulated", "hides"):
        jobs.create("", CheckpointConfig=config)


def _allow(jobs, identity, statement):
    """Give an identity a further permission, as an administrator would."""
    role = jobs.environment.identities[identity].rpartition("/")[2]
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
    motoside.backend("iam", _ACCOUNT, "aws").put_role_policy(role, "more", json.dumps(document))
    jobs.emulator.principals.carry()
