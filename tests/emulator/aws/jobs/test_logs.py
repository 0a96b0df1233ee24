"""Lines and metrics where the vendor's clients look for them, while the job runs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

pytestmark = pytest.mark.thorough


def test_lines_appear_while_the_job_runs_and_the_stream_with_the_first_of_them(jobs, emulator):
    name = jobs.create("import time; time.sleep(0.8); print('one', flush=True); time.sleep(60)")
    job = jobs.training(name)
    assert jobs.streams(name) == []
    jobs.until(name, lambda _: jobs.streams(name))
    assert jobs.lines(name) == ["one"]
    assert jobs.describe(name)["SecondaryStatus"] == "Training"
    (stream,) = jobs.streams(name)
    match = re.fullmatch(rf"{name}/algo-1-(\d+)", stream)
    assert abs(int(match[1]) - job["TrainingStartTime"].timestamp()) < 10


def test_lines_carry_the_emulators_time(jobs, emulator):
    emulator.clock.advance(3000)
    name = jobs.run("print('hello')")["TrainingJobName"]
    start = jobs.describe(name)["TrainingStartTime"].timestamp()
    events = jobs.logs.filter_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNames=jobs.streams(name), startTime=int(start * 1000)
    )["events"]
    assert [event["message"] for event in events] == ["hello"]


def test_metrics_are_found_in_the_lines(jobs, client):
    definitions = [{"Name": "train:loss", "Regex": "loss=([0-9.]+)"}, {"Name": "epoch", "Regex": "epoch=([0-9]+)"}]
    code = "print('epoch=1 loss=0.5'); print('epoch=2 loss=0.25'); print('nothing')"
    job = jobs.run(code, AlgorithmSpecification={"MetricDefinitions": definitions})
    assert {each["MetricName"]: each["Value"] for each in job["FinalMetricDataList"]} == {
        "train:loss": 0.25,
        "epoch": 2.0,
    }
    now = datetime.now(UTC)
    told = client("cloudwatch").get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="train:loss",
        Dimensions=[{"Name": "TrainingJobName", "Value": job["TrainingJobName"]}],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=5),
        Period=3600,
        Statistics=["SampleCount", "Minimum"],
    )["Datapoints"]
    assert [(each["SampleCount"], each["Minimum"]) for each in told] == [(2.0, 0.25)]


def test_a_cut_line_and_other_nodes_have_streams_of_their_own(jobs):
    code = (
        "import json, sys\n"
        "host = json.load(open('/opt/ml/input/config/resourceconfig.json'))['current_host']\n"
        "print(host); sys.stderr.write('error of ' + host + '\\n'); sys.stdout.write('no end')"
    )
    name = jobs.run(code, ResourceConfig={"InstanceCount": 2})["TrainingJobName"]
    assert sorted(jobs.lines(name, "algo-1")) == ["algo-1", "error of algo-1", "no end"]
    assert sorted(jobs.lines(name, "algo-2")) == ["algo-2", "error of algo-2", "no end"]
    assert len(jobs.streams(name)) == 2


def test_lines_of_a_far_future_are_kept(jobs, emulator):
    emulator.clock.advance(30 * 86_400)
    assert jobs.lines(jobs.run("print('hello')")["TrainingJobName"]) == ["hello"]


def test_a_prefix_finds_the_lines_of_its_streams_alone_in_their_order(jobs):
    first, second = jobs.run("print('first')"), jobs.run("print('second')")
    told = [jobs.lines(job["TrainingJobName"]) for job in (first, second)]
    assert told == [["first"], ["second"]]
    assert jobs.lines("nobody") == []
    pages = jobs.logs.get_paginator("filter_log_events").paginate(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="job-", PaginationConfig={"PageSize": 1}
    )
    assert [event["message"] for page in pages for event in page["events"]] == ["first", "second"]
