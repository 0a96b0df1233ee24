"""A job's life on the wire: statuses and times, waiting, listing, updating, deleting."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from mlinfra.emulator.aws.training import states as training_states
from mlinfra.emulator.settings import Settings

pytestmark = pytest.mark.thorough


@pytest.fixture
def slow(emulator):
    """Stages that last long enough to be seen: a fifth of their length."""
    emulator.training.delays.scale = 0.2
    return emulator


def test_a_job_passes_every_status_in_its_order_and_time(jobs, slow):
    name = jobs.create("import time; time.sleep(0.3)")
    seen = []

    def look(job):
        seen.append((job["TrainingJobStatus"], job["SecondaryStatus"]))
        return job["TrainingJobStatus"] == "Completed"

    job = jobs.until(name, look)
    order = ["Starting", "Pending", "Downloading", "Training", "Uploading", "Completed"]
    passed = list(dict.fromkeys(secondary for _, secondary in seen))
    assert passed == [status for status in order if status in passed]
    assert {"Starting", "Pending", "Training", "Completed"} <= set(passed)
    assert {primary for primary, secondary in seen if secondary != "Completed"} == {"InProgress"}
    told = job["SecondaryStatusTransitions"]
    assert [each["Status"] for each in told] == order
    assert all(before["EndTime"] == after["StartTime"] for before, after in pairwise(told))
    assert [each["StatusMessage"] for each in told] == [
        "Starting the training job",
        "Preparing the instances for training",
        "Downloading the training image",
        "Training image download completed. Training in progress.",
        "Uploading generated training model",
        "Training job completed",
    ]
    pending = told[1]["EndTime"] - told[1]["StartTime"]
    assert timedelta(seconds=0.55) < pending < timedelta(seconds=10)
    assert job["CreationTime"] < job["TrainingStartTime"] <= told[2]["StartTime"]
    assert job["TrainingEndTime"] == job["LastModifiedTime"] == told[-1]["StartTime"]


def test_the_retired_statuses_are_passed_where_they_are_asked_for(jobs, slow):
    slow.training.script = training_states.FORMER
    job = jobs.run("")
    assert jobs.statuses(job) == [
        "Starting",
        "LaunchingMLInstances",
        "PreparingTrainingStack",
        "Downloading",
        "DownloadingTrainingImage",
        "Training",
        "Uploading",
        "Completed",
    ]


def test_times_are_the_emulators_and_may_be_moved(jobs, emulator):
    name = jobs.create("import time; time.sleep(1.5)")
    jobs.training(name)
    emulator.clock.advance(500)
    job = jobs.end(name)
    assert job["TrainingJobStatus"] == "Completed"
    assert 500 <= job["TrainingTimeInSeconds"] < 520
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"]


def test_botos_waiter_waits(jobs):
    name = jobs.create("import time; time.sleep(0.3)")
    waiter = jobs.sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    assert jobs.describe(name)["TrainingJobStatus"] == "Completed"


def test_describe_tells_the_request_as_it_was_given(jobs):
    given = jobs.request(
        "", Environment={"A": "1"}, HyperParameters={"b": "2"}, Tags=[{"Key": "team", "Value": "risk"}]
    )
    arn = jobs.sagemaker.create_training_job(**given)["TrainingJobArn"]
    told = jobs.describe(given["TrainingJobName"])
    tags = given.pop("Tags")
    assert {name: told[name] for name in given} == given
    assert jobs.sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    assert told["TrainingJobArn"] == arn


def test_a_name_is_taken_until_its_job_is_deleted(jobs):
    name = jobs.run("")["TrainingJobName"]
    with jobs.refused("ResourceInUse", "already exists"):
        jobs.create("", TrainingJobName=name)
    jobs.sagemaker.delete_training_job(TrainingJobName=name)
    with jobs.refused("ResourceNotFound"):
        jobs.describe(name)
    assert jobs.run("", TrainingJobName=name)["TrainingJobStatus"] == "Completed"


def test_a_job_is_deleted_after_its_end_and_not_at_once(jobs, slow):
    name = jobs.create("")
    with jobs.refused("ResourceInUse"):
        jobs.sagemaker.delete_training_job(TrainingJobName=name)
    jobs.end(name)
    jobs.sagemaker.delete_training_job(TrainingJobName=name)
    assert jobs.describe(name)["TrainingJobStatus"] == "Deleting"
    slow.clock.advance(1)
    with jobs.refused("ResourceNotFound"):
        jobs.describe(name)
    assert slow.training.leftovers() == []


@pytest.mark.parametrize("verb", ["describe", "stop", "delete", "update"])
def test_a_job_that_is_not_there_is_not_found(jobs, verb):
    with jobs.refused("ResourceNotFound"):
        getattr(jobs.sagemaker, f"{verb}_training_job")(TrainingJobName="nobody")


def test_lists_filter_sort_and_page(jobs):
    names = [jobs.run("", TrainingJobName=f"{word}-run")["TrainingJobName"] for word in ("beta", "alpha", "gamma")]
    failed = jobs.run("raise SystemExit(1)", TrainingJobName="failed-run")["TrainingJobName"]

    def listed(**query):
        pages = jobs.sagemaker.get_paginator("list_training_jobs").paginate(**query)
        return [job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"]]

    newest = [failed, *reversed(names)]
    assert listed() == newest
    assert listed(PaginationConfig={"PageSize": 1}) == newest
    assert listed(SortBy="Name", SortOrder="Ascending") == ["alpha-run", "beta-run", "failed-run", "gamma-run"]
    assert listed(NameContains="LPHA") == ["alpha-run"]
    assert listed(StatusEquals="Failed") == [failed]
    assert listed(CreationTimeAfter=jobs.describe("alpha-run")["CreationTime"]) == [failed, "gamma-run"]
    assert listed(LastModifiedTimeBefore=jobs.describe("alpha-run")["LastModifiedTime"]) == ["beta-run"]
    summary = jobs.sagemaker.list_training_jobs(NameContains="failed")["TrainingJobSummaries"][0]
    assert (summary["TrainingJobStatus"], summary["SecondaryStatus"]) == ("Failed", "Failed")
    assert summary["TrainingEndTime"] == jobs.describe(failed)["TrainingEndTime"]


def test_a_status_is_filtered_within_a_page_as_the_description_says(jobs):
    jobs.run("", TrainingJobName="good")
    jobs.run("raise SystemExit(1)", TrainingJobName="bad")
    first = jobs.sagemaker.list_training_jobs(StatusEquals="Completed", MaxResults=1)
    assert first["TrainingJobSummaries"] == []
    second = jobs.sagemaker.list_training_jobs(StatusEquals="Completed", MaxResults=1, NextToken=first["NextToken"])
    assert [job["TrainingJobName"] for job in second["TrainingJobSummaries"]] == ["good"]
    with jobs.refused("ValidationException"):
        jobs.sagemaker.list_training_jobs(NextToken="7")


def test_a_warm_pool_waits_for_a_job_like_its_own(jobs, emulator):
    keep = {"KeepAlivePeriodInSeconds": 600}
    first = jobs.run("", ResourceConfig=keep)
    name = first["TrainingJobName"]
    assert first["WarmPoolStatus"]["Status"] == "Available"
    with jobs.refused("ResourceInUse", "warm pool"):
        jobs.sagemaker.delete_training_job(TrainingJobName=name)
    other = jobs.run("", ResourceConfig={**keep, "InstanceType": "ml.c5.xlarge"})
    assert "Pending" in jobs.statuses(other)
    second = jobs.run("", ResourceConfig=keep)
    assert "Pending" not in jobs.statuses(second)
    pool = jobs.describe(name)["WarmPoolStatus"]
    assert (pool["Status"], pool["ReusedByJob"]) == ("Reused", second["TrainingJobName"])
    emulator.clock.advance(601)
    kept = jobs.describe(second["TrainingJobName"])["WarmPoolStatus"]
    assert kept == {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 600}
    known = jobs.sagemaker.list_training_jobs(WarmPoolStatusEquals="Reused")["TrainingJobSummaries"]
    assert [job["TrainingJobName"] for job in known] == [name]


def test_a_warm_pool_is_given_back_by_an_update(jobs):
    name = jobs.run("", ResourceConfig={"KeepAlivePeriodInSeconds": 600})["TrainingJobName"]
    jobs.sagemaker.update_training_job(TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 0})
    assert jobs.describe(name)["WarmPoolStatus"]["Status"] == "Terminated"
    with jobs.refused("ValidationException", "warm pool"):
        jobs.sagemaker.update_training_job(TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 9})


def test_an_update_of_profiling_is_shown(jobs, slow):
    name = jobs.create("import time; time.sleep(0.6)")
    jobs.training(name)
    profiler = {"S3OutputPath": jobs.output, "ProfilingIntervalInMilliseconds": 1000}
    jobs.sagemaker.update_training_job(TrainingJobName=name, ProfilerConfig=profiler)
    job = jobs.end(name)
    assert jobs.statuses(job)[-5:] == ["Training", "Updating", "Training", "Uploading", "Completed"]
    assert (job["ProfilerConfig"], job["ProfilingStatus"]) == (profiler, "Enabled")


class TestLag:
    @pytest.fixture
    def emulator_settings(self):
        return Settings(delays_scale=0.0, quotas=False, list_lag=60.0)

    def test_lists_show_a_job_later_than_describe(self, jobs, emulator):
        name = jobs.run("")["TrainingJobName"]
        assert jobs.sagemaker.list_training_jobs()["TrainingJobSummaries"] == []
        emulator.clock.advance(61)
        assert [job["TrainingJobName"] for job in jobs.sagemaker.list_training_jobs()["TrainingJobSummaries"]] == [name]
