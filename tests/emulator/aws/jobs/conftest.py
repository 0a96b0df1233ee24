"""Training jobs on the emulator, as boto3 creates and watches them."""

from __future__ import annotations

import io
import tarfile
import time
from contextlib import contextmanager
from itertools import count

import pytest
from botocore.exceptions import ClientError

GROUP = "/aws/sagemaker/TrainingJobs"
PATIENCE = 40.0  # s; a test waits so long only when it is about to fail


class Jobs:
    """boto3 and the few words that these tests use."""

    def __init__(self, emulator, client, environment, bucket, role):
        self.emulator = emulator
        self.environment = environment
        self.bucket = bucket
        self.role = role
        self.sagemaker = client("sagemaker")
        self.s3 = client("s3")
        self.logs = client("logs")
        self.client = client
        self._numbers = count(1)

    @property
    def output(self):
        return f"s3://{self.bucket}/artefacts/out"

    def request(self, code, **changes):
        """A request that runs Python code, which a channel `program` brings.

        A change to None takes a member away, a map changes members of one, InputDataConfig adds channels.
        """
        name = f"job-{next(self._numbers)}"
        program = self.channel("program", self.put(f"programs/{name}/main.py", code))
        channels = [*changes.pop("InputDataConfig", ()), program]
        body = {
            "TrainingJobName": name,
            "InputDataConfig": channels,
            "RoleArn": self.role,
            "AlgorithmSpecification": {
                "TrainingImage": self.environment.images["base"].uri,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", "/opt/ml/input/data/program/main.py"],
            },
            "OutputDataConfig": {"S3OutputPath": self.output},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        }
        for member, value in changes.items():
            if value is None:
                del body[member]
            elif isinstance(value, dict) and isinstance(body.get(member), dict):
                body[member] = {name: each for name, each in (body[member] | value).items() if each is not None}
            else:
                body[member] = value
        return body

    def create(self, code, **changes):
        """Create a job; returns its name."""
        body = self.request(code, **changes)
        self.sagemaker.create_training_job(**body)
        return body["TrainingJobName"]

    def run(self, code, **changes):
        """Create a job and see it to its end."""
        return self.end(self.create(code, **changes))

    def describe(self, name):
        return self.sagemaker.describe_training_job(TrainingJobName=name)

    def end(self, name):
        """The job once it has ended."""
        return self.until(name, lambda job: job["TrainingJobStatus"] in {"Completed", "Failed", "Stopped"})

    def until(self, name, condition, what="the condition"):
        deadline = time.monotonic() + PATIENCE
        while True:
            job = self.describe(name)
            if condition(job):
                return job
            assert time.monotonic() < deadline, f"{what} not met: {job}"
            time.sleep(0.02)

    def training(self, name):
        """The job once its container runs."""
        return self.until(name, lambda job: job["SecondaryStatus"] == "Training", "Training")

    def put(self, key, data):
        """An object below `data/`; returns its address."""
        data = data.encode() if isinstance(data, str) else data
        self.s3.put_object(Bucket=self.bucket, Key=f"data/{key}", Body=data)
        return f"s3://{self.bucket}/data/{key}"

    @staticmethod
    def channel(name, uri, kind="S3Prefix", mode=None, **source):
        """A channel of a request."""
        told = {
            "ChannelName": name,
            "DataSource": {"S3DataSource": {"S3DataType": kind, "S3Uri": uri, **source}},
        }
        return {**told, "InputMode": mode} if mode else told

    @staticmethod
    def statuses(job):
        """The secondary statuses that a job has passed."""
        return [each["Status"] for each in job["SecondaryStatusTransitions"]]

    @staticmethod
    @contextmanager
    def refused(code, text=""):
        """Calls in it are refused with this code, in words that hold the text."""
        with pytest.raises(ClientError) as caught:
            yield caught
        error = caught.value.response["Error"]
        assert (error["Code"], text in error["Message"]) == (code, True), error

    def keys(self, name):
        """What a job has stored below its outputs, by key."""
        prefix = f"artefacts/out/{name}/"
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return [each["Key"].removeprefix(prefix) for each in found]

    def archive(self, name, key):
        """The files of an archive that a job stored, by path."""
        data = self.s3.get_object(Bucket=self.bucket, Key=f"artefacts/out/{name}/{key}")["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            return {
                each.name: archive.extractfile(each).read().decode() for each in archive.getmembers() if each.isfile()
            }

    def streams(self, name):
        """The log streams of a job, in order; none before the first line of any job."""
        try:
            found = self.logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        return [each["logStreamName"] for each in found]

    def lines(self, name, host="algo-1"):
        """What a node wrote."""
        found = self.logs.filter_log_events(logGroupName=GROUP, logStreamNamePrefix=f"{name}/{host}-")["events"]
        return [event["message"] for event in found]


@pytest.fixture
def jobs(emulator, client, environment, bucket, role):
    return Jobs(emulator, client, environment, bucket, role)
