"""Jobs of several replicas."""

from __future__ import annotations

import json

import pytest
from google.cloud.aiplatform_v1 import JobState

MEET = """
import json, os, socket, sys, time
spec = json.loads(os.environ["CLUSTER_SPEC"])
task = spec["task"]
host, _, port = spec["cluster"][task["type"]][task["index"]].partition(":")
first, _, where = spec["cluster"]["workerpool0"][0].partition(":")
if task["type"] == "workerpool0":
    server = socket.create_server((host, int(port)))
    came = []
    for _ in range(sum(map(len, spec["cluster"].values())) - 1):
        connection, _ = server.accept()
        came.append(connection.recv(100).decode())
        connection.close()
    print(" ".join(sorted(came)))
else:
    while True:
        try:
            with socket.create_connection((first, int(where))) as connection:
                connection.send((task["type"] + "-" + str(task["index"])).encode())
            break
        except ConnectionRefusedError:
            time.sleep(0.02)
"""


def test_replicas_find_each_other_by_the_cluster_specification(run, pool, until, lines):
    job = until(run(pool(MEET), pool(MEET, replicas=2), pool(MEET)))
    assert job.state == JobState.JOB_STATE_SUCCEEDED
    assert lines(job) == ["workerpool1-0 workerpool1-1 workerpool2-0"]


def test_two_jobs_at_once_do_not_meet_each_other(run, pool, until, lines):
    made = [run(pool(MEET), pool(MEET)) for _ in range(2)]
    assert [lines(until(job)) for job in made] == [["workerpool1-0"]] * 2


def test_each_replica_has_variables_and_a_log_of_its_own(run, pool, until, lines):
    code = "import json, os; t = json.loads(os.environ['TF_CONFIG'])['task']; print(t['type'], t['index'], os.getcwd())"
    job = until(run(pool(code), pool(code, replicas=2)))
    told = [lines(job, f"workerpool{name}")[0].split() for name in ("0-0", "1-0", "1-1")]
    assert [line[:2] for line in told] == [["chief", "0"], ["worker", "0"], ["worker", "1"]]
    assert len({line[2] for line in told}) == 3


def test_pools_run_commands_of_their_own_and_skipped_ones_none(run, pool, until, lines):
    job = until(run(pool("print('first')"), {}, pool("print('third')")))
    assert (lines(job), lines(job, "workerpool2-0")) == (["first"], ["third"])


def test_the_job_is_over_when_its_primary_is(run, pool, until, lines, emulator):
    emulator.jobs.linger = 0.0
    served = "import signal, sys, time\nprint('serving', flush=True)\nwhile True: time.sleep(0.02)"
    job = until(run(pool("import time; time.sleep(1)"), pool(served)))
    assert (job.state, lines(job, "workerpool1-0")) == (JobState.JOB_STATE_SUCCEEDED, ["serving"])


def test_a_replica_that_fails_fails_the_job_by_its_name(run, pool, until):
    job = until(run(pool("import time; time.sleep(60)"), pool("import sys; sys.exit(5)", replicas=1)))
    assert job.state == JobState.JOB_STATE_FAILED
    assert job.error.message.startswith("The replica workerpool1-0 exited with a non-zero status of 5.")


def test_all_replicas_are_told_to_end(run, pool, until, jobs, lines, written):  # noqa: PLR0917  fixtures
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n    print('told'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('up', flush=True)\nwhile True: time.sleep(0.02)"
    )
    job = until(run(pool(code), pool(code)), "RUNNING")
    for number in (0, 1):
        written(job, "up", f"workerpool{number}-0")
    jobs.cancel_custom_job(name=job.name)
    until(job)
    assert [lines(job, f"workerpool{number}-0") for number in (0, 1)] == [["up", "told"]] * 2


class TestSpot:
    COUNT = """
import os, sys, time
from google.cloud import storage
bucket, _, prefix = os.environ["AIP_CHECKPOINT_DIR"][len("gs://"):].partition("/")
blob = storage.Client().bucket(bucket).blob(prefix + "count")
count = int(blob.download_as_text()) if blob.exists() else 0
blob.upload_from_string(str(count + 1))
print("attempt", count + 1, flush=True)
if count < int(sys.argv[1]):
    time.sleep(60)
"""

    @pytest.fixture
    def counting(self, run, pool):
        return lambda lost, **spec: run(pool(self.COUNT, args=[str(lost)]), **spec)

    @pytest.mark.thorough
    def test_a_job_whose_machine_is_taken_away_is_tried_again(self, counting, until, emulator, lines, written):
        job = counting(2, scheduling={"strategy": "SPOT"})
        for number in (1, 2):
            written(job, f"attempt {number}")
            emulator.jobs.preempt(job.name)
        ended = until(job)
        assert ended.state == JobState.JOB_STATE_SUCCEEDED
        assert lines(ended) == ["attempt 1", "attempt 2", "attempt 3"]
        assert lines(ended, "service").count("Job is restarting.") == 2

    def test_a_job_without_retries_fails_when_its_machine_is_taken_away(self, submit, until, emulator):
        emulator.faults.script([{"operation": "CustomJob:Running", "do": "fail", "code": "interruption"}])
        wanted = {"strategy": "SPOT", "disable_retries": True}
        job = until(submit("import time; time.sleep(60)", scheduling=wanted))
        assert (job.state, job.error.code) == (JobState.JOB_STATE_FAILED, 14)

    @pytest.mark.thorough
    def test_after_too_many_faults_of_the_infrastructure_the_job_fails(self, submit, until, emulator, lines):
        emulator.faults.script([{"operation": "CustomJob:Running", "do": "fail", "code": "internal", "times": None}])
        job = until(submit("import time; time.sleep(60)"))
        assert (job.state, job.error.code) == (JobState.JOB_STATE_FAILED, 13)
        assert lines(job, "service").count("Job is restarting.") == 3

    def test_a_fault_of_the_infrastructure_is_tried_again(self, submit, until, emulator):
        emulator.faults.script([{"operation": "CustomJob:Running", "do": "fail", "code": "internal"}])
        assert until(submit("import time; time.sleep(0.2)")).state == JobState.JOB_STATE_SUCCEEDED

    def test_machines_that_are_not_to_be_had_fail_the_job(self, submit, until, emulator):
        emulator.jobs.shortages.add("n1-standard-4")
        job = until(submit())
        assert (job.state, job.error.code, job.start_time) == (JobState.JOB_STATE_FAILED, 8, None)
        assert "Resources are insufficient in region: europe-west4" in job.error.message

    def test_a_flexible_job_waits_for_its_machines(self, submit, until, emulator):
        emulator.jobs.shortages.add("n1-standard-4")
        waiting = {"strategy": "FLEX_START", "max_wait_duration": "3600s"}
        first, second = submit(scheduling=waiting), submit(scheduling={**waiting, "max_wait_duration": "60s"})
        until(first, "PENDING"), until(second, "PENDING")
        emulator.clock.advance(70)
        assert "maximum wait duration of 60s" in until(second).error.message
        emulator.jobs.shortages.clear()
        emulator.clock.advance(10)
        assert until(first).state == JobState.JOB_STATE_SUCCEEDED


def test_the_cluster_is_told_with_addresses_that_are_there(run, pool, until, lines):
    code = "import json, os; print(json.dumps({'message': os.environ['CLUSTER_SPEC']}))"
    job = until(run(pool(code), pool(code, replicas=2)))
    cluster = json.loads(lines(job)[0])["cluster"]
    assert [address.partition(":")[0] for group in cluster.values() for address in group] == [
        "127.0.0.2",
        "127.0.0.3",
        "127.0.0.4",
    ]
