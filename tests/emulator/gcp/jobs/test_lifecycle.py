"""From creation to deletion, by the vendor's own client."""

from __future__ import annotations

import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1 import JobState

from mlinfra.emulator.settings import Settings

FOREVER = "import time\nprint('up')\nwhile True: time.sleep(0.05)"


def test_a_job_runs_and_says_how_it_went(submit, until, lines, emulator, parent):
    created = submit("print('hello')", labels={"team": "a"})
    assert created.state == JobState.JOB_STATE_QUEUED
    assert created.name.startswith(f"projects/{emulator.project_number}/locations/{emulator.region}/customJobs/")
    assert len(created.name.rpartition("/")[2]) == 19
    ended = until(created)
    assert (ended.state, ended.labels, ended.error.message) == (JobState.JOB_STATE_SUCCEEDED, {"team": "a"}, "")
    assert ended.create_time <= ended.start_time <= ended.end_time <= ended.update_time
    assert lines(ended) == ["hello"]
    assert lines(ended, "service")[-1] == "Job completed successfully."


def test_what_the_service_adds_is_told(submit):
    created = submit()
    (pool,) = created.job_spec.worker_pool_specs
    assert (pool.disk_spec.boot_disk_type, pool.disk_spec.boot_disk_size_gb) == ("pd-ssd", 100)


def test_a_container_that_fails_fails_the_job(submit, until):
    ended = until(submit("import sys; sys.exit(3)"))
    assert ended.state == JobState.JOB_STATE_FAILED
    assert ended.error.code == 3
    assert ended.error.message.startswith("The replica workerpool0-0 exited with a non-zero status of 3.")
    assert ended.name.rpartition("/")[2] in ended.error.message


def test_a_container_that_is_killed_is_said_to_have_used_up_its_memory(submit, until):
    ended = until(submit("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    assert "ran out-of-memory" in ended.error.message
    assert ended.error.code == 8


def test_a_job_that_is_cancelled_ends_its_container(submit, until, jobs, lines, written):
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n    print('told to end'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('up', flush=True)\nwhile True: time.sleep(0.05)"
    )
    job = until(submit(code), "RUNNING")
    written(job, "up")
    jobs.cancel_custom_job(name=job.name)
    ended = until(job)
    assert (ended.state, ended.error.code, ended.error.message) == (JobState.JOB_STATE_CANCELLED, 1, "CANCELED")
    assert lines(ended) == ["up", "told to end"]


def test_what_has_ended_is_not_cancelled(submit, until, jobs):
    job = until(submit())
    with pytest.raises(exceptions.FailedPrecondition, match="cannot be cancelled"):
        jobs.cancel_custom_job(name=job.name)


def test_a_job_that_takes_too_long_is_cancelled(submit, until):
    ended = until(submit(FOREVER, scheduling={"timeout": "1s"}))
    assert (ended.state, ended.error.code) == (JobState.JOB_STATE_CANCELLED, 4)
    assert "exceeded the timeout of 1s" in ended.error.message


def test_a_job_is_deleted_once_it_has_ended(submit, until, jobs, emulator):
    job = until(submit(FOREVER), "RUNNING")
    with pytest.raises(exceptions.FailedPrecondition, match="Only jobs that have ended"):
        jobs.delete_custom_job(name=job.name)
    jobs.cancel_custom_job(name=job.name)
    until(job)
    assert emulator.leftovers() == [job.name]
    operation = jobs.delete_custom_job(name=job.name)
    operation.result(timeout=30)
    assert operation.metadata.generic_metadata.create_time
    assert emulator.leftovers() == []
    for call in (jobs.get_custom_job, jobs.cancel_custom_job, jobs.delete_custom_job):
        with pytest.raises(exceptions.NotFound):
            call(name=job.name)


def test_the_same_message_twice_makes_two_jobs(submit, jobs, parent):
    assert submit().name != submit().name
    assert len(list(jobs.list_custom_jobs(parent=parent))) == 2


def test_lists_are_filtered_paged_and_newest_first(submit, until, jobs, parent):
    made = [submit(labels={"number": str(number), "kind": "x"}) for number in range(3)]
    for job in made:
        until(job)
    failed = until(submit("raise SystemExit(1)"))

    def names(wanted: str = "", **more: object) -> list[str]:
        return [job.name for job in jobs.list_custom_jobs(request={"parent": parent, "filter": wanted, **more})]

    assert names() == [failed.name, *(job.name for job in reversed(made))]
    assert names('labels.kind="x"', page_size=1) == [job.name for job in reversed(made)]
    assert names('labels.number="1" AND labels.kind="x"') == [made[1].name]
    assert names("state=JOB_STATE_FAILED") == [failed.name]
    assert names('state="JOB_STATE_SUCCEEDED" AND NOT labels.number=2') == [made[1].name, made[0].name]
    assert names('display_name="training"', page_size=2) == names()
    assert names(f'create_time>"{made[1].create_time.isoformat()}"') == [failed.name, made[2].name]
    with pytest.raises(exceptions.InvalidArgument):
        names('nonsense="x"')


def test_a_list_tells_what_was_asked_for(submit, jobs, parent):
    job = submit(labels={"a": "b"})
    (told,) = jobs.list_custom_jobs(request={"parent": parent, "read_mask": {"paths": ["name", "labels"]}})
    assert (told.name, told.labels, told.display_name) == (job.name, {"a": "b"}, "")


class TestStates:
    @pytest.fixture
    def emulator_settings(self) -> Settings:
        return Settings(speed=20.0, quotas=False)

    def test_a_job_passes_through_its_states(self, submit, jobs):
        job = submit("import time; time.sleep(0.5)")
        passed = [job.state.name]
        while passed[-1] != "JOB_STATE_SUCCEEDED":
            state = jobs.get_custom_job(name=job.name).state.name
            passed += [state] if state != passed[-1] else []
        assert passed == [f"JOB_STATE_{name}" for name in ("QUEUED", "PENDING", "RUNNING", "SUCCEEDED")]

    def test_a_job_that_waits_is_cancelled_without_having_run(self, submit, jobs, until, lines, emulator):
        emulator.faults.script([{"operation": "CustomJob:Provisioning", "do": "delay", "seconds": 1000}])
        job = until(submit(), "PENDING")
        jobs.cancel_custom_job(name=job.name)
        assert jobs.get_custom_job(name=job.name).state.name in {"JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED"}
        ended = until(job)
        assert (ended.state, ended.start_time) == (JobState.JOB_STATE_CANCELLED, None)
        assert lines(ended) == []


@pytest.mark.parametrize(
    ("code", "seen"),
    [("paused", ["PAUSED", "RUNNING", "SUCCEEDED"]), ("updating", ["UPDATING", "RUNNING", "SUCCEEDED"])],
)
def test_a_script_shows_the_states_that_no_job_comes_to_by_itself(submit, jobs, emulator, code, seen):
    emulator.faults.script([{"operation": "CustomJob:Running", "do": "fail", "code": code, "seconds": 0.3}])
    job = submit("import time; time.sleep(1)")
    passed: list[str] = []
    while not passed or passed[-1] != "SUCCEEDED":
        state = jobs.get_custom_job(name=job.name).state.name.removeprefix("JOB_STATE_")
        passed += [state] if not passed or state != passed[-1] else []
    assert passed[-3:] == seen


@pytest.mark.parametrize(("code", "state"), [("expired", "EXPIRED"), ("partial", "PARTIALLY_SUCCEEDED")])
def test_a_script_ends_jobs_as_none_ends_by_itself(submit, until, emulator, code, state):
    emulator.faults.script([{"operation": "CustomJob:Running", "do": "fail", "code": code}])
    assert until(submit("import time; time.sleep(0.3)")).state.name == f"JOB_STATE_{state}"


def test_nothing_is_left_when_a_job_or_the_emulator_ends(submit, until, emulator):
    until(submit())
    running = until(submit(FOREVER), "RUNNING")
    emulator.stop()
    assert list((emulator.folder / "jobs").iterdir()) == []
    assert running.name
