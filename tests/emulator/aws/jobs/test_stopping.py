"""Stopping: by a call, by a limit, with the emulator; and what is left then."""

from __future__ import annotations

import json
import time

import pytest

from mlinfra.host import processes

pytestmark = pytest.mark.thorough

_SAVES = """
import signal, sys, time
def save(*_):
    open('/opt/ml/model/saved', 'w').write('s')
    print('saved', flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print('ready', flush=True)
time.sleep(60)
"""
_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print('no', flush=True))
open('/opt/ml/model/half', 'w').write('h')
print('ready', flush=True)
while True: time.sleep(0.1)
"""


@pytest.fixture
def ready(jobs):
    """A job that has said `ready`."""

    def start(code, **changes):
        name = jobs.create(code, **changes)
        jobs.until(name, lambda _: jobs.streams(name) and "ready" in jobs.lines(name))
        return name

    return start


def test_a_stopped_job_saves_what_it_has(jobs, ready):
    name = ready(_SAVES)
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    assert jobs.describe(name)["TrainingJobStatus"] == "Stopping"
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    job = jobs.end(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert jobs.statuses(job)[-4:] == ["Training", "Stopping", "Uploading", "Stopped"]
    assert jobs.archive(name, "output/model.tar.gz") == {"saved": "s"}
    assert jobs.lines(name) == ["ready", "saved"]
    with jobs.refused("ValidationException", "is in status Stopped"):
        jobs.sagemaker.stop_training_job(TrainingJobName=name)


def test_after_120_seconds_force_is_used(jobs, emulator, ready):
    name = ready(_STUBBORN)
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    jobs.until(name, lambda _: "no" in jobs.lines(name))
    time.sleep(0.3)
    assert jobs.describe(name)["TrainingJobStatus"] == "Stopping"
    emulator.clock.advance(121)
    assert jobs.end(name)["TrainingJobStatus"] == "Stopped"
    assert jobs.archive(name, "output/model.tar.gz") == {"half": "h"}


def test_a_job_that_has_not_begun_stops_without_outputs(jobs, emulator):
    emulator.training.delays.scale = 1.0
    name = jobs.create("print('never')")
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    job = jobs.end(name)
    assert jobs.statuses(job) == ["Starting", "Stopping", "Stopped"]
    assert "TrainingStartTime" not in job
    assert jobs.keys(name) == []


def test_a_job_that_takes_too_long_is_stopped(jobs, emulator, ready):
    name = ready(_SAVES, StoppingCondition={"MaxRuntimeInSeconds": 300})
    emulator.clock.advance(301)
    job = jobs.end(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert jobs.archive(name, "output/model.tar.gz") == {"saved": "s"}


def test_nothing_outlives_the_emulator(jobs, emulator, ready):
    ready(_STUBBORN)
    emulator.training.shortages.add("ml.p4d.24xlarge")
    jobs.create("", ResourceConfig={"InstanceType": "ml.p4d.24xlarge"})
    work = str(emulator.folder)
    assert processes.belonging(work)
    began = time.monotonic()
    emulator.stop()
    assert processes.belonging(work) == []
    assert time.monotonic() - began < 10


def test_the_host_ends_by_itself_what_a_killed_emulator_leaves(jobs, emulator, ready):
    ready(_STUBBORN, StoppingCondition={"MaxRuntimeInSeconds": 100})
    (job,) = emulator.host.call("ListJobs")["jobs"]
    plan = json.loads(emulator.host.jobs._table.row(job["name"])["plan"])
    assert (plan["max_runtime"], plan["stop_grace"]) == (700, 120)
