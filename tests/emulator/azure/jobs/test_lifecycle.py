"""A job's states, from its creation to its deletion; how it is cancelled, interrupted, and met by faults."""

from __future__ import annotations

import time

import pytest

from mlinfra.emulator.faults import Fault
from mlinfra.emulator.settings import Settings
from mlinfra.errors import UsageError

SPOT = {"computeId": None, "queueSettings": {"jobTier": "Spot"}}
WAITS = "echo up; sleep 60"


class TestWithTime:
    """The states last long enough to be seen."""

    @pytest.fixture
    def emulator_settings(self) -> Settings:
        return Settings(delays_scale=1.0, quotas=False)

    @pytest.mark.thorough
    def test_a_job_of_a_cluster_walks_the_services_states(self, jobs):
        jobs.submit("walks", "sleep 1")
        seen = jobs.watched("walks")
        assert seen == ["NotStarted", "Preparing", "Queued", "Starting", "Running", "Finalizing", "Completed"]

    @pytest.mark.thorough
    def test_a_serverless_job_is_provisioned_for(self, jobs):
        jobs.submit("walks", computeId=None)
        assert "Provisioning" in jobs.watched("walks")

    def test_a_job_may_be_cancelled_before_it_runs(self, jobs):
        jobs.submit("early")
        assert jobs.cancel("early").status_code == 202
        assert jobs.watched("early")[-1] == "Canceled"
        assert "startTimeUtc" not in jobs.details("early")


def test_a_node_of_a_cluster_is_waited_for(emulator, jobs):
    small = emulator.jobs.computes.create(
        emulator.place.workspace_id, "small", {"scaleSettings": {"minNodeCount": 0, "maxNodeCount": 1}}
    )
    jobs.submit("first", WAITS, computeId=small.id)
    jobs.until("first", "Running")
    jobs.submit("second", computeId=small.id)
    jobs.until("second", "Queued")
    time.sleep(0.3)
    assert jobs.get("second")["status"] == "Queued"
    jobs.cancel("first")
    assert jobs.until("second")["status"] == "Completed"


def test_an_ended_job_tells_when_and_as_whom(jobs):
    jobs.submit("told", tags={"a": "b"}, experimentName="trials", displayName="Told")
    jobs.until("told")
    found = jobs.arm("GET", "jobs/told").json()
    assert (found["name"], found["type"]) == ("told", "Microsoft.MachineLearningServices/workspaces/jobs")
    assert found["properties"]["properties"].keys() >= {"StartTimeUtc", "EndTimeUtc"}
    run = jobs.details("told")
    assert run["createdTimeUtc"] <= run["startTimeUtc"] <= run["endTimeUtc"]
    assert (run["displayName"], run["tags"], run["status"]) == ("Told", {"a": "b"}, "Completed")


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("echo oh no; exit 3", "ExecutionFailed", "User process exited with status code 3. Error: oh no"),
        ("kill -9 $$", "OutOfMemory", "exit code 137"),
    ],
)
def test_a_job_that_ends_badly_says_how(jobs, command, code, words):
    jobs.submit("bad", command)
    assert jobs.until("bad")["status"] == "Failed"
    error = jobs.error("bad")
    assert error[:2] == ("UserError", code)
    assert words in error[2]


def test_a_running_job_is_cancelled_and_may_clean_up(jobs):
    jobs.submit("long", "trap 'echo bye; exit 0' TERM; echo up; while true; do sleep 0.1; done")
    jobs.written("long", "up")
    reply = jobs.cancel("long")
    assert reply.status_code == 202
    assert jobs.until("long")["status"] == "Canceled"
    assert jobs.lines("long") == ["up", "bye"]
    assert "error" not in jobs.details("long")
    again = jobs.cancel("long")
    assert (again.status_code, again.json()["error"]["code"]) == (400, "UserError")


def test_a_cancellation_is_over_when_the_job_is(jobs, session):
    jobs.submit("long", "trap 'sleep 1; exit' TERM; echo up; while true; do sleep 0.1; done")
    jobs.written("long", "up")
    location = jobs.cancel("long").headers["Location"]
    assert session().get(location).status_code == 202
    jobs.until("long")
    deadline = time.monotonic() + 30
    while session().get(location).status_code == 202:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert session().get(location).status_code in {200, 204}


def test_a_job_runs_no_longer_than_its_limit(emulator, jobs):
    jobs.submit("slow", WAITS, limits={"jobLimitsType": "Command", "timeout": "PT1H"})
    jobs.written("slow", "up")
    emulator.clock.advance(3601)
    assert jobs.until("slow")["status"] == "Canceled"
    _, code, words = jobs.error("slow")
    assert code == "JobTimeout"
    assert "exceeded its maximum duration of 3600 seconds" in words


def test_an_interrupted_job_is_queued_again_and_starts_anew(emulator, jobs):
    jobs.submit("spot", WAITS, **SPOT)
    jobs.written("spot", "up")
    emulator.jobs.preempt("spot")
    jobs.written("spot", "up", 2)
    jobs.until("spot", "Running")
    jobs.cancel("spot")
    jobs.until("spot")


def test_what_an_interrupted_job_wrote_into_a_mount_is_there_when_it_starts_anew(emulator, jobs, data):
    mounted = {"m": {"jobOutputType": "uri_folder", "uri": f"{data}/mount/", "mode": "ReadWriteMount"}}
    command = "cat ${{outputs.m}}/note 2>/dev/null && exit 0; echo kept > ${{outputs.m}}/note; echo up; sleep 60"
    jobs.submit("resumes", command, outputs=mounted, **SPOT)
    jobs.written("resumes", "up")
    emulator.jobs.preempt("resumes")
    assert jobs.until("resumes")["status"] == "Completed"
    assert jobs.lines("resumes") == ["up", "kept"]


def test_only_low_priority_is_interrupted(emulator, jobs):
    jobs.submit("dedicated", WAITS)
    jobs.until("dedicated", "Running")
    with pytest.raises(UsageError):
        emulator.jobs.preempt("dedicated")
    jobs.cancel("dedicated")


def test_a_cluster_of_low_priority_has_jobs_that_may_be_interrupted(emulator, jobs):
    low = emulator.jobs.computes.create(emulator.place.workspace_id, "low", {"vmPriority": "LowPriority"})
    jobs.submit("cheap", WAITS, computeId=low.id)
    jobs.until("cheap", "Running")
    emulator.jobs.preempt("cheap")
    jobs.cancel("cheap")
    assert jobs.until("cheap")["status"] == "Canceled"


@pytest.mark.parametrize(
    ("moment", "code", "inner"),
    [
        ("Job:Provisioning", "capacity", "AllocationFailed"),
        ("Job:Provisioning", "quota", "ClusterCoreQuotaReached"),
        ("Job:Running", "internal", "InternalServerError"),
    ],
)
def test_a_script_lets_jobs_fail(emulator, jobs, moment, code, inner):
    emulator.faults.script([Fault(operation=moment, do="fail", code=code)])
    jobs.submit("unlucky", "sleep 5")
    assert jobs.until("unlucky")["status"] == "Failed"
    assert jobs.error("unlucky")[1] == inner
    jobs.submit("lucky")
    assert jobs.until("lucky")["status"] == "Completed"


@pytest.mark.parametrize(("code", "state"), [("paused", "Paused"), ("notresponding", "NotResponding")])
def test_a_script_shows_the_rarer_states(emulator, jobs, code, state):
    emulator.faults.script([Fault(operation="Job:Running", do="fail", code=code, seconds=1.0)])
    jobs.submit("odd", "sleep 1")
    seen = jobs.watched("odd")
    assert state in seen
    assert seen[-1] == "Completed"


def test_a_shortage_lets_jobs_wait(emulator, jobs):
    emulator.jobs.shortages.add("Standard_DS3_v2")
    jobs.submit("waits")
    jobs.until("waits", "Queued")
    emulator.jobs.shortages.clear()
    emulator.clock.advance(10)
    assert jobs.until("waits")["status"] == "Completed"


def test_an_ended_job_is_deleted_and_a_running_one_is_not(jobs, emulator):
    jobs.submit("gone", WAITS)
    jobs.until("gone", "Running")
    refused = jobs.arm("DELETE", "jobs/gone")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "UserError")
    jobs.cancel("gone")
    jobs.until("gone")
    assert emulator.leftovers() == [emulator.place.child("jobs", "gone")]
    assert jobs.arm("DELETE", "jobs/gone").status_code == 202
    deadline = time.monotonic() + 30
    while jobs.arm("GET", "jobs/gone").status_code != 404:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert jobs.arm("DELETE", "jobs/gone").status_code == 204
    assert emulator.leftovers() == []


def test_an_emulator_that_ends_takes_its_jobs_along(jobs, emulator):
    jobs.submit("long", WAITS)
    jobs.written("long", "up")
    emulator.stop()
    assert not list((emulator.folder / "jobs").iterdir())
