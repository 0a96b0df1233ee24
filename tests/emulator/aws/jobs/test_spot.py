"""Instances that are lost, are not to be had, or break: interruptions, checkpoints, retries, capacity."""

from __future__ import annotations

import pytest

from mlinfra.errors import UsageError

pytestmark = pytest.mark.thorough

_COUNTS = """
import pathlib, sys, time
place = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else '/opt/ml/checkpoints') / 'step'
start = int(place.read_text()) if place.exists() else 0
print('start', start, flush=True)
for step in range(start + 1, 4):
    place.write_text(str(step))
    print('step', step, flush=True)
    if step == 2 and start == 0: time.sleep(60)
pathlib.Path('/opt/ml/model/from').write_text(str(start))
"""
_SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 3600},
}


@pytest.fixture
def checkpoints(jobs):
    return {"S3Uri": f"s3://{jobs.bucket}/artefacts/checkpoints"}


def _stored(jobs):
    found = jobs.s3.list_objects_v2(Bucket=jobs.bucket, Prefix="artefacts/checkpoints/step").get("Contents")
    if not found:
        return ""
    return jobs.s3.get_object(Bucket=jobs.bucket, Key="artefacts/checkpoints/step")["Body"].read().decode()


def test_an_interrupted_job_starts_again_from_its_checkpoints(jobs, emulator, checkpoints):
    name = jobs.create(_COUNTS, CheckpointConfig=checkpoints, **_SPOT)
    jobs.until(name, lambda _: _stored(jobs) == "2", "checkpoints carried while the job runs")
    emulator.clock.advance(100)
    emulator.training.interrupt(name)
    job = jobs.end(name)
    assert job["TrainingJobStatus"] == "Completed"
    again = ["Interrupted", "Restarting", "Starting", "Pending", "Downloading", "Training", "Uploading", "Completed"]
    assert jobs.statuses(job)[-8:] == again
    assert jobs.archive(name, "output/model.tar.gz") == {"from": "2"}
    assert jobs.lines(name)[-2:] == ["start 2", "step 3"]
    assert job["TrainingTimeInSeconds"] >= job["BillableTimeInSeconds"] >= 100


def test_the_time_in_training_is_limited_over_all_attempts(jobs, emulator):
    limits = {"MaxRuntimeInSeconds": 300, "MaxWaitTimeInSeconds": 3600}
    name = jobs.create("import time; time.sleep(60)", **{**_SPOT, "StoppingCondition": limits})
    jobs.training(name)
    emulator.clock.advance(200)
    emulator.training.interrupt(name)
    jobs.until(name, lambda job: jobs.statuses(job).count("Training") == 2)
    emulator.clock.advance(150)
    assert jobs.end(name)["SecondaryStatus"] == "MaxRuntimeExceeded"


def test_checkpoints_may_lie_outside_opt_ml(jobs, checkpoints):
    jobs.s3.put_object(Bucket=jobs.bucket, Key="artefacts/checkpoints/step", Body=b"1")
    job = jobs.run(
        _COUNTS,
        CheckpointConfig={**checkpoints, "LocalPath": "/mlinfra-checkpoints/deep"},
        AlgorithmSpecification={"ContainerArguments": ["/mlinfra-checkpoints/deep"]},
    )
    assert job["TrainingJobStatus"] == "Completed", jobs.lines(job["TrainingJobName"])
    assert jobs.lines(job["TrainingJobName"])[0] == "start 1"
    assert _stored(jobs) == "3"


def test_a_script_of_faults_interrupts_as_well(jobs, emulator):
    emulator.faults.script(
        [
            {
                "operation": "TrainingJob:Training",
                "do": "fail",
                "code": "interruption",
                "match": {"TrainingJobName": "spot-*"},
            }
        ]
    )
    job = jobs.run("import time; time.sleep(0.3)", TrainingJobName="spot-1", **_SPOT)
    assert (job["TrainingJobStatus"], jobs.statuses(job).count("Interrupted")) == ("Completed", 1)


def test_a_scripted_fault_may_come_later(jobs, emulator):
    emulator.faults.script([{"operation": "TrainingJob:Training", "do": "fail", "code": "internal", "seconds": 50}])
    name = jobs.create("import time; time.sleep(60)")
    jobs.training(name)
    emulator.clock.advance(10)
    jobs.until(name, lambda job: job["TrainingTimeInSeconds"] > 10)
    assert jobs.describe(name)["TrainingJobStatus"] == "InProgress"
    emulator.clock.advance(50)
    assert jobs.end(name)["FailureReason"].startswith("InternalServerError")


def test_only_a_running_spot_job_is_interrupted(jobs, emulator):
    name = jobs.create("import time; time.sleep(60)")
    with pytest.raises(UsageError, match="spot"):
        emulator.training.interrupt(name)
    with pytest.raises(UsageError):
        emulator.training.interrupt("nobody")


def test_a_spot_job_waits_for_capacity_no_longer_than_allowed(jobs, emulator):
    emulator.training.shortages.add("ml.m5.large")
    name = jobs.create("", **_SPOT)
    waiting = jobs.until(name, lambda job: job["SecondaryStatus"] == "Pending")
    emulator.clock.advance(3601)
    job = jobs.end(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert waiting["TrainingJobStatus"] == "InProgress"


def test_an_on_demand_job_waits_for_capacity_and_fails_without(jobs, emulator):
    emulator.training.shortages.add("ml.m5.large")
    name = jobs.create("")
    lacking = "Insufficient capacity error from EC2 while launching instances, retrying!"
    jobs.until(name, lambda job: job["SecondaryStatusTransitions"][-1]["StatusMessage"] == lacking)
    emulator.clock.advance(3601)
    assert jobs.end(name)["FailureReason"].startswith("CapacityError: Unable to provision")
    later = jobs.create("")
    jobs.until(later, lambda job: job["SecondaryStatusTransitions"][-1]["StatusMessage"] == lacking)
    emulator.training.shortages.clear()
    emulator.clock.advance(10)
    assert jobs.end(later)["TrainingJobStatus"] == "Completed"


def test_the_first_preferred_type_that_is_to_be_had_is_taken(jobs, emulator):
    emulator.training.shortages.add("ml.c5.xlarge")
    preferences = [
        {"InstanceType": "ml.c5.xlarge", "InstanceCount": 2},
        {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    ]
    resources = {"InstanceType": None, "InstanceCount": None, "InstancePreferences": preferences}
    told = jobs.run("", ResourceConfig=resources)["ResourceConfig"]
    assert (told["SelectedInstanceType"], told["SelectedInstanceCount"]) == ("ml.m5.large", 1)


def test_an_internal_error_is_tried_again_as_often_as_asked(jobs, emulator):
    rule = {"operation": "TrainingJob:Training", "do": "fail", "code": "internal", "times": 2}
    code = "import time; time.sleep(0.2)"
    emulator.faults.script([rule])
    job = jobs.run(code, RetryStrategy={"MaximumRetryAttempts": 2})
    assert (job["TrainingJobStatus"], jobs.statuses(job).count("Restarting")) == ("Completed", 2)
    emulator.faults.script([rule])
    job = jobs.run(code, RetryStrategy={"MaximumRetryAttempts": 1})
    assert job["FailureReason"] == "InternalServerError: We encountered an internal error. Please try again."
    name = jobs.create("import time; time.sleep(60)")
    jobs.training(name)
    emulator.training.break_down(name)
    assert jobs.end(name)["TrainingJobStatus"] == "Failed"
