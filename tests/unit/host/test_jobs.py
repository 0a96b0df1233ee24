from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlinfra.errors import CapabilityError, Conflict, NotFound, SpecError, UsageError
from mlinfra.host import Host, Image, jobtable, processes
from mlinfra.host.bodies import CreateJob


def test_a_job_runs_to_its_end_and_everything_about_it_is_told(rig):
    created = rig.python("hello", "print('hello')", tags={"team": "risk"})
    assert created["state"] in {"queued", "starting", "running"}
    job = rig.end("hello")
    assert (job["state"], job["exit_code"], job["reason"], job["attempt"]) == ("succeeded", 0, "", 1)
    assert [step["state"] for step in job["transitions"]] == ["queued", "starting", "running", "succeeded"]
    assert job["created"] <= job["started"] <= job["ended"] <= job["updated"]
    assert job["tags"] == {"team": "risk"}
    assert job["interpreter"]["path"] == sys.executable
    assert rig.log("hello") == ["hello"]


def test_a_failed_job_tells_its_exit_code(rig):
    rig.shell("bad", "exit 7")
    job = rig.end("bad")
    assert (job["state"], job["exit_code"], job["reason"]) == ("failed", 7, "node-0 exited with code 7")


def test_a_job_killed_by_a_signal_exits_as_a_shell_says_it(rig):
    rig.shell("killed", "kill -9 $$")
    job = rig.end("killed")
    assert (job["state"], job["exit_code"], job["reason"]) == ("failed", 137, "node-0 was killed by SIGKILL")


def test_the_runners_own_words_are_the_reason(rig):
    rig.shell("worded", 'echo "the data has no rows" > "$MLINFRA_RESULT/failure"; exit 3')
    assert rig.end("worded")["reason"] == "the data has no rows"


def test_what_the_runner_reports_is_told(rig):
    rig.shell("reported", """echo '{"outputs": {"model": {"files": 2}}}' > "$MLINFRA_RESULT/result.json" """)
    assert rig.end("reported")["result"] == {"outputs": {"model": {"files": 2}}}


@pytest.mark.parametrize("report", ["{", "[1]", "null", "[" * 100_000, "\\377", ""], ids=range(6))
def test_a_report_that_makes_no_sense_is_not_believed(rig, tmp_path, report):
    (tmp_path / "report").write_text(report)
    copies = f'cp {tmp_path}/report "$MLINFRA_RESULT/result.json"; cp {tmp_path}/report "$MLINFRA_RESULT/metrics.json"'
    rig.shell("garbled", copies)
    job = rig.end("garbled")
    assert (job["state"], job["result"]) == ("succeeded", {})


def test_a_report_is_told_with_the_last_value_of_each_metric(rig, tmp_path):
    points = [{"name": "auc", "value": 0.7}, {"name": "auc", "value": 0.8}, "nonsense", {"name": "loss"}]
    (tmp_path / "metrics.json").write_text(json.dumps(points))
    (tmp_path / "result.json").write_text('{"status": "succeeded"}')
    rig.shell("measured", f'cp {tmp_path}/*.json "$MLINFRA_RESULT"')
    assert rig.end("measured")["result"] == {"status": "succeeded", "metrics": {"auc": 0.8}}


def test_a_job_whose_folders_cannot_be_made_says_so(rig, tmp_path):
    (tmp_path / "file").write_text("in the way")
    rig.shell("blocked", "true", checkpoint=f"{tmp_path}/file/below")
    job = rig.end("blocked")
    assert job["state"] == "failed"
    assert job["reason"].startswith("the job could not be prepared: ")


def test_a_job_stopped_between_two_attempts_is_not_tried_again(rig, tmp_path):
    line = (
        f'echo try; [ -e "{tmp_path}/second" ] && sleep 600; touch "{tmp_path}/second"; trap "exit 7" TERM; sleep 0.3'
    )
    rig.shell("flaky", f"{line}; exit 7", retries={"user": 50})
    rig.said("flaky", "try")
    rig.call("StopJob", {"name": "flaky"})
    assert rig.end("flaky")["state"] == "stopped"


def test_a_program_that_is_not_there_is_a_failure_with_its_name(rig):
    rig.call("CreateJob", {"name": "absent", "argv": ["/no/such/program"]})
    job = rig.end("absent")
    assert job["state"] == "failed"
    assert "/no/such/program" in job["reason"]


def test_a_bundle_is_run_by_the_interpreter(rig, tmp_path):
    bundle = tmp_path / "bundle.pyz"
    bundle.write_text("import sys; print(sys.argv[1:])")
    rig.call("CreateJob", {"name": "bundled", "bundle": str(bundle), "argv": ["--depth", "6; rm -rf /"]})
    assert rig.end("bundled")["state"] == "succeeded"
    assert rig.log("bundled") == ["['--depth', '6; rm -rf /']"]


def test_python_means_the_interpreter_of_the_job(rig, tmp_path):
    bare = tmp_path / "elsewhere" / "python3.99"
    bare.parent.mkdir()
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    bare.chmod(0o755)
    rig.shell("named", "command -v python3")
    rig.end("named")
    assert Path(rig.log("named")[0]).samefile(sys.executable)


def test_the_submitters_secrets_do_not_reach_the_job(rig, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    monkeypatch.setenv("PIP_CONFIG_FILE", "kept")
    rig.shell("clean", 'echo "[$AWS_SECRET_ACCESS_KEY] [$PIP_CONFIG_FILE] [$OWN]"', env={"OWN": "own"})
    rig.end("clean")
    assert rig.log("clean") == ["[] [kept] [own]"]


def test_the_environment_of_a_job_is_not_told(rig):
    rig.shell("private", "true", env={"TOKEN": "planted"})
    assert "planted" not in json.dumps(rig.end("private"))


def test_the_log_is_stamped_streamed_and_resumed_by_a_token(rig, tmp_path):
    go_on = tmp_path / "go-on"
    rig.shell("stream", f'echo one; while [ ! -e "{go_on}" ]; do sleep 0.02; done; echo two >&2')
    rig.said("stream", "one")
    first = rig.call("GetJobLogs", {"name": "stream"})
    assert [line["text"] for line in first["lines"]] == ["one"]
    assert first["lines"][0]["time"].endswith("Z")
    go_on.touch()
    rig.end("stream")
    second = rig.call("GetJobLogs", {"name": "stream", "token": first["token"]})
    assert [line["text"] for line in second["lines"]] == ["two"]
    third = rig.call("GetJobLogs", {"name": "stream", "token": second["token"]})
    assert third["lines"] == []


def test_logged_values_can_be_read_while_the_job_runs(rig):
    values = [{"name": "auc", "value": 0.5, "step": 1, "time": 1.0}, {"name": "loss", "value": float("nan")}]
    code = f"""
import os, time
path = os.path.join(os.environ["MLINFRA_RESULT"], "metrics.jsonl")
with open(path, "w") as file:
    file.write({json.dumps(values[0])!r} + "\\n" + "no json\\n" + {json.dumps(values[1])!r} + "\\n" + "unfinished")
print("written", flush=True)
time.sleep(60)
"""
    rig.python("measured", code)
    rig.said("measured", "written")
    page = rig.call("GetJobMetrics", {"name": "measured"})
    assert page["metrics"] == [
        {"name": "auc", "value": 0.5, "step": 1, "time": 1.0},
        {"name": "loss", "value": "nan", "step": None, "time": None},
    ]
    assert rig.call("GetJobMetrics", {"name": "measured", "token": page["token"]})["metrics"] == []
    rig.call("StopJob", {"name": "measured"})
    rig.end("measured")


def test_stop_gives_the_job_its_grace(rig):
    code = """
import signal, sys, time
def leave(*_):
    print("saving", flush=True); time.sleep(0.2); print("saved", flush=True); sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
time.sleep(60)
"""
    rig.python("polite", code, stop_grace=10)
    rig.said("polite", "ready")
    assert rig.call("StopJob", {"name": "polite"})["state"] == "stopping"
    job = rig.end("polite")
    assert (job["state"], job["exit_code"], job["reason"]) == ("stopped", 0, "stopped on request")
    assert rig.log("polite") == ["ready", "saving", "saved"]
    assert rig.call("StopJob", {"name": "polite"})["state"] == "stopped"


def test_a_job_that_ignores_the_signal_is_killed_after_its_grace(rig, nothing_runs):
    rig.shell("deaf", "trap '' TERM; echo ready; while :; do sleep 0.05; done", stop_grace=0.3)
    rig.said("deaf", "ready")
    rig.call("StopJob", {"name": "deaf"})
    job = rig.end("deaf")
    assert (job["state"], job["exit_code"]) == ("stopped", 137)
    assert nothing_runs(rig.work("deaf"))


def test_a_keyboard_interrupt_reaches_a_job_that_wants_it(rig):
    code = """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("caught")
"""
    rig.python("interrupted", code)
    rig.end("interrupted")
    assert rig.log("interrupted") == ["caught"]


def test_the_time_limit_ends_a_job(rig):
    rig.shell("long", "sleep 60", max_runtime=0.3, stop_grace=5)
    job = rig.end("long")
    assert (job["state"], job["reason"]) == ("timed_out", "the time limit was reached")


def test_the_memory_limit_ends_a_job_with_all_its_processes(rig, nothing_runs):
    code = """
import subprocess, sys, time
child = "import time; block = bytearray(80 << 20); time.sleep(60)"
children = [subprocess.Popen([sys.executable, "-c", child]) for _ in range(2)]
time.sleep(60)
"""
    rig.python("hungry", code, memory=100 << 20)
    job = rig.end("hungry")
    assert job["state"] == "failed"
    assert job["reason"].startswith("out of memory: ")
    assert nothing_runs(rig.work("hungry"))


@pytest.mark.thorough
def test_memory_shared_between_processes_counts_once(rig):
    code = """
import os, time
block = bytearray(60 << 20)
for _ in range(3):
    if os.fork() == 0:
        time.sleep(1.2)
        os._exit(0)
for _ in range(3):
    os.wait()
"""
    rig.python("shared", code, memory=120 << 20)
    assert rig.end("shared")["state"] == "succeeded"


def test_no_stray_child_is_left(rig, nothing_runs, tmp_path):
    code = f"""
import os, subprocess, sys
escape = "import os, time; os.setsid(); print('{tmp_path}', flush=True); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", escape])
subprocess.Popen(["env", "-i", sys.executable, "-c", escape])
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.execv("/bin/sleep", ["sleep", "600"])
"""
    rig.python("strays", code)
    assert rig.end("strays")["state"] == "succeeded"
    assert nothing_runs(rig.work("strays"))
    commands = [Path(f"/proc/{pid}/cmdline") for pid in processes.table()]
    mark = f"print('{tmp_path}'".encode()
    assert not [path for path in commands if path.exists() and mark in path.read_bytes()]


def test_a_job_submitted_by_a_job_outlives_it(rig):
    code = f"""
from pathlib import Path
from mlinfra.host import Host
with Host(Path({str(rig.host.root)!r})) as host:
    host.call("CreateJob", {{"name": "inner", "argv": ["/bin/sh", "-c", "echo ready; sleep 1; echo done"]}})
    while not host.call("GetJobLogs", {{"name": "inner"}})["lines"]:
        pass
"""
    rig.python("outer", code)
    assert rig.end("outer")["state"] == "succeeded", rig.log("outer")
    assert rig.end("inner")["state"] == "succeeded"
    assert rig.log("inner") == ["ready", "done"]


def test_several_nodes_find_each_other(rig):
    line = 'echo "$RANK of $WORLD_SIZE at $MASTER_ADDR:$MASTER_PORT with $OWN"'
    rig.shell("nodes", line, nodes=2, per_node=[{"env": {"OWN": "a"}}, {"env": {"OWN": "b"}}])
    assert rig.end("nodes")["state"] == "succeeded"
    first, second = sorted(rig.log("nodes"))
    port = first.split(":")[1].split()[0]
    assert first == f"0 of 2 at 127.0.0.1:{port} with a"
    assert second == f"1 of 2 at 127.0.0.1:{port} with b"
    sources = {line["source"] for line in rig.call("GetJobLogs", {"name": "nodes"})["lines"]}
    assert sources == {"node-0", "node-1"}


def test_one_failed_node_ends_the_others(rig):
    rig.shell("half", 'if [ "$RANK" = 1 ]; then exit 5; fi; exec sleep 60', nodes=2)
    job = rig.end("half")
    assert (job["state"], job["exit_code"], job["reason"]) == ("failed", 5, "node-1 exited with code 5")


def test_failures_of_the_users_are_tried_again(rig, tmp_path):
    line = f'echo x >> "{tmp_path}/tries"; [ "$(wc -l < "{tmp_path}/tries")" -ge 3 ]'
    rig.shell("flaky", line, retries={"user": 2})
    job = rig.end("flaky")
    assert (job["state"], job["attempt"], job["failures"]) == ("succeeded", 3, {"infrastructure": 0, "user": 2})


def test_a_dead_supervisor_is_noticed_and_nothing_of_its_job_goes_on(rig, nothing_runs):
    rig.shell("orphan", "setsid sleep 600 & echo ready; exec sleep 600")
    rig.said("orphan", "ready")
    os.kill(rig.row("orphan")["pid"], signal.SIGKILL)
    job = rig.end("orphan")
    assert job["state"] == "failed"
    assert "supervisor" in job["reason"]
    assert nothing_runs(rig.work("orphan"))


def test_a_lost_supervisor_is_a_fault_of_the_infrastructure_and_tried_again(rig, tmp_path):
    go_on = tmp_path / "go-on"
    line = f'echo try; while [ ! -e "{go_on}" ]; do sleep 0.02; done'
    rig.shell("spot", line, retries={"infrastructure": 1}, checkpoint=str(tmp_path / "checkpoint"))
    rig.said("spot", "try")
    os.kill(rig.row("spot")["pid"], signal.SIGKILL)
    rig.until(lambda: rig.describe("spot")["attempt"] == 2, "a second attempt")
    go_on.touch()
    job = rig.end("spot")
    assert (job["state"], job["failures"]) == ("succeeded", {"infrastructure": 1, "user": 0})
    assert rig.log("spot") == ["try", "try"]


def test_a_supervisor_told_to_end_takes_its_job_along_which_is_tried_again(rig, tmp_path, nothing_runs):
    go_on = tmp_path / "go-on"
    line = f'echo try; while [ ! -e "{go_on}" ]; do sleep 0.02; done'
    rig.shell("shutdown", line, retries={"infrastructure": 1})
    rig.said("shutdown", "try")
    os.kill(rig.row("shutdown")["pid"], signal.SIGTERM)
    rig.until(lambda: rig.log("shutdown") == ["try", "try"])
    os.kill(rig.row("shutdown")["pid"], signal.SIGTERM)
    job = rig.end("shutdown")
    assert (job["state"], job["attempt"], job["failures"]["infrastructure"]) == ("failed", 2, 2)
    assert "told to end" in job["reason"]
    assert nothing_runs(rig.work("shutdown"))


def test_a_supervisor_that_cannot_start_fails_the_job(rig, monkeypatch):
    monkeypatch.setattr(jobtable, "_SPAWN_PATIENCE", 0.05)
    monkeypatch.setattr(jobtable, "module_environment", lambda: {"PYTHONPATH": "/nowhere"})
    rig.shell("doomed", "echo ran")
    job = rig.end("doomed")
    assert job["state"] == "failed"
    assert "no supervisor would start" in job["reason"]
    assert "mlinfra" in job["reason"]


def test_what_a_job_leaves_becomes_objects(rig, tmp_path):
    out = tmp_path / "out"
    rig.shell(
        "leaves",
        f"mkdir -p {out}/model/deep; echo 1 > {out}/model/a; echo 2 > {out}/model/deep/b",
        collect=[{"folder": f"{out}/model", "bucket": "artefacts", "prefix": "runs/1/model"}],
    )
    assert rig.end("leaves")["state"] == "succeeded"
    store = rig.host.objects("artefacts")
    assert [info.key for info in store.list("runs/").objects] == ["runs/1/model/a", "runs/1/model/deep/b"]
    assert store.get("runs/1/model/deep/b") == b"2\n"


def test_outputs_that_cannot_be_stored_fail_the_job(rig, tmp_path):
    rig.host.objects("artefacts").put("runs", b"in the way")
    rig.shell(
        "blocked",
        f"mkdir {tmp_path}/out; echo 1 > {tmp_path}/out/a",
        collect=[{"folder": f"{tmp_path}/out", "bucket": "artefacts", "prefix": "runs/1"}],
    )
    job = rig.end("blocked")
    assert job["state"] == "failed"
    assert "outputs could not be stored" in job["reason"]


@pytest.mark.parametrize("part", [{"bucket": "UP"}, {"prefix": "../up"}, {"prefix": ""}])
def test_a_place_for_outputs_that_leads_astray_is_refused(rig, part):
    collected = {"folder": "/tmp/x", "bucket": "artefacts", "prefix": "p", **part}  # noqa: S108  never written
    with pytest.raises(UsageError):
        rig.shell("astray", "true", collect=[collected])


def test_jobs_beyond_the_slots_wait_in_order(root, rig):
    host = Host(root, slots=1)
    for number in range(4):
        rig.shell(f"job-{number}", "true")
    ends = [rig.end(f"job-{number}")["ended"] for number in range(4)]
    assert ends == sorted(ends)
    starts = [rig.describe(f"job-{number}")["started"] for number in range(4)]
    assert all(start >= end for start, end in zip(starts[1:], ends, strict=False))
    host.close()


@pytest.mark.thorough
def test_few_supervisors_wait_however_long_the_queue(root, rig):
    Host(root, slots=1).close()
    for number in range(12):
        rig.shell(f"job-{number}", "exec sleep 600")
    rig.in_state("job-0", "running")
    assert len([pid for pid in processes.belonging(str(root)) if _is_supervisor(pid)]) <= 3
    for number in reversed(range(12)):
        rig.call("StopJob", {"name": f"job-{number}"})
    assert {rig.end(f"job-{number}")["state"] for number in range(12)} == {"stopped"}


def _is_supervisor(pid):
    try:
        return b"mlinfra.host.supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.thorough
def test_a_queue_goes_on_though_a_supervisor_is_killed_and_nobody_looks(root, rig):
    Host(root, slots=1).close()
    rig.shell("first", "echo ready; exec sleep 600")
    rig.said("first", "ready")
    rig.shell("second", "true")
    rig.until(lambda: rig.row("second")["pid"], "the second waits")
    os.kill(rig.row("first")["pid"], signal.SIGKILL)
    rig.until(lambda: rig.row("second")["state"] == "succeeded", "the second runs")
    assert rig.row("first")["state"] == "failed"


def test_a_queued_job_is_stopped_without_having_run(root, rig):
    Host(root, slots=1).close()
    rig.shell("first", "exec sleep 600")
    rig.shell("second", "echo ran")
    job = rig.call("StopJob", {"name": "second"})
    assert (job["state"], job["started"]) == ("stopped", None)
    rig.call("StopJob", {"name": "first"})
    rig.end("first")
    assert rig.log("second") == []


def test_a_job_whose_client_died_before_starting_a_supervisor_is_taken_up_by_the_next_reader(rig, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(processes, "spawn_detached", lambda *_args, **_kwargs: None)
        rig.shell("stranded", "true")
    with rig.host._database.write() as connection:
        connection.execute("UPDATE jobs SET spawned = spawned - 60")
    assert rig.end("stranded")["state"] == "succeeded"


@pytest.mark.thorough
def test_of_two_processes_that_create_the_same_job_one_wins(root, rig):
    code = f"""
import sys
from pathlib import Path
from mlinfra.errors import Conflict
from mlinfra.host import Host
with Host(Path({str(root)!r})) as host:
    sys.stdin.read(1)
    won = 0
    for number in range(20):
        try:
            host.call("CreateJob", {{"name": f"job-{{number}}", "argv": ["/bin/true"]}})
            won += 1
        except Conflict:
            pass
    print(won)
"""
    command = [sys.executable, "-c", code]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    answers = [racer.communicate(b"x")[0] for racer in racers]
    assert sum(map(int, answers)) == 20
    assert {rig.end(f"job-{number}")["attempt"] for number in range(20)} == {1}


def test_the_client_may_be_killed_and_the_job_goes_on(root, rig, tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from mlinfra.host import Host
Host(Path({str(root)!r})).call("CreateJob", {{"name": "left", "argv": ["/bin/sh", "-c", "sleep 0.5; echo done"]}})
os.kill(os.getpid(), signal.SIGKILL)
"""
    client = subprocess.run([sys.executable, "-c", code], check=False)
    assert client.returncode == -signal.SIGKILL
    assert rig.end("left")["state"] == "succeeded"
    assert rig.log("left") == ["done"]


def test_commands_before_and_after_the_job_frame_it(rig, tmp_path):
    trace = tmp_path / "trace"
    rig.shell(
        "framed",
        f"echo job >> {trace}; exit 4",
        before=[["/bin/sh", "-c", f"echo before >> {trace}"]],
        after=[["/bin/sh", "-c", f"echo after $MLINFRA_HOST_OUTCOME >> {trace}"]],
    )
    assert rig.end("framed")["state"] == "failed"
    assert trace.read_text().splitlines() == ["before", "job", "after failed"]


def test_a_failure_before_the_job_keeps_it_from_running(rig):
    rig.shell("unprepared", "echo ran", before=[["/bin/sh", "-c", "exit 9"]])
    job = rig.end("unprepared")
    assert (job["state"], job["reason"]) == ("failed", "before the job: host exited with code 9")
    assert rig.log("unprepared") == []


def test_a_name_that_exists_is_a_conflict(rig):
    rig.shell("taken", "true")
    with pytest.raises(Conflict):
        rig.shell("taken", "true")


def test_a_job_that_is_not_there_is_not_found(rig):
    for operation in ("DescribeJob", "StopJob", "DeleteJob", "GetJobLogs", "GetJobMetrics"):
        with pytest.raises(NotFound):
            rig.call(operation, {"name": "nobody"})


def test_an_ended_job_is_deleted_with_all_that_it_left(rig):
    rig.shell("gone", "echo x > file")
    folder = Path(rig.end("gone")["folder"])
    assert (folder / "work" / "file").is_file()
    rig.call("DeleteJob", {"name": "gone"})
    assert not folder.exists()
    assert not list(rig.host.root.glob("trash/*"))
    with pytest.raises(NotFound):
        rig.describe("gone")
    rig.shell("gone", "echo again")
    rig.end("gone")
    assert rig.log("gone") == ["again"]


def test_a_running_job_is_not_deleted(rig):
    rig.shell("busy", "exec sleep 600")
    with pytest.raises(Conflict):
        rig.call("DeleteJob", {"name": "busy"})
    rig.call("StopJob", {"name": "busy"})
    rig.end("busy")


def test_an_unknown_image_is_refused_with_those_known(root):
    with Host(root, images={"training:1": Image("3.11")}) as host, pytest.raises(CapabilityError) as caught:
        host.call("CreateJob", {"name": "a", "argv": ["true"], "interpreter": {"image": "other:2"}})
    assert "training:1" in str(caught.value)


def test_an_image_stands_for_an_interpreter(root):
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    with Host(root, images={"training:1": Image(version)}) as host:
        job = host.call("CreateJob", {"name": "a", "argv": ["true"], "interpreter": {"image": "training:1"}})
        assert job["interpreter"]["path"] == sys.executable


def test_a_python_that_is_not_there_is_refused_with_those_that_are(rig):
    with pytest.raises(CapabilityError) as caught:
        rig.shell("future", "true", interpreter={"python": "3.99"})
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in str(caught.value)
    with pytest.raises(NotFound):
        rig.describe("future")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "../up", "argv": ["true"]},
        {"name": "a"},
        {"name": "a", "argv": ["a\x00b"]},
        {"name": "a", "argv": ["\ud800"]},
        {"name": "a", "argv": ["true"], "env": {"A=B": "x"}},
        {"name": "a", "argv": ["true"], "nodes": 2, "per_node": [{}]},
        {"name": "a", "argv": ["true"], "max_runtime": "60"},
        {"name": "a", "argv": ["true"], "max_runtime": float("nan")},
        {"name": "a", "argv": ["true"], "mounts": {"opt/ml": "/usr"}},
        {"name": "a", "argv": ["true"], "memroy": 5},
        {"name": "a", "argv": ["true"], "cpu": 0.0},
    ],
)
def test_a_body_that_is_wrong_is_refused_before_anything_is_made(rig, body):
    with pytest.raises(SpecError) as caught:
        rig.call("CreateJob", body)
    assert caught.value.problems
    assert rig.call("ListJobs")["jobs"] == []


def test_a_path_that_is_not_there_is_refused(rig, tmp_path):
    with pytest.raises(NotFound):
        rig.shell("a", "true", mounts={"/opt/ml": str(tmp_path / "nothing")})
    with pytest.raises(NotFound):
        rig.call("CreateJob", {"name": "a", "bundle": str(tmp_path / "nothing.pyz")})


def test_an_operation_that_is_not_there_is_named(rig):
    with pytest.raises(UsageError) as caught:
        rig.call("CreateJbo")
    assert "CreateJob" in str(caught.value)


def test_thousands_of_jobs_are_listed_page_by_page_quickly(rig):
    plan = json.dumps(rig.host.jobs._plan(CreateJob(name="x", argv=["true"])).as_document())
    rows = [(f"job-{n:05d}", "succeeded", plan, f"2026-01-01T00:00:{n / 1000:09.6f}Z") for n in range(5000)]
    with rig.host._database.write() as connection:
        connection.executemany(
            "INSERT INTO jobs (name, state, plan, created, updated) VALUES (?1, ?2, ?3, ?4, ?4)", rows
        )
        connection.executemany(
            "INSERT INTO tags VALUES ('job', ?, 'group', ?)", [(row[0], str(n % 10)) for n, row in enumerate(rows)]
        )
    started = time.process_time()
    names, token = [], None
    while True:
        page = rig.call("ListJobs", {"page_size": 500, "page_token": token})
        names += [job["name"] for job in page["jobs"]]
        token = page["next_token"]
        if token is None:
            break
    assert names == [row[0] for row in reversed(rows)]
    tagged = rig.call("ListJobs", {"tags": {"group": "3"}, "page_size": 1000})
    assert (len(tagged["jobs"]), tagged["next_token"]) == (500, None)
    recent = rig.call("ListJobs", {"updated_after": "2026-01-01T00:00:04.989500+00:00", "page_size": 1000})
    assert [job["name"] for job in recent["jobs"]] == [f"job-{n:05d}" for n in range(4999, 4989, -1)]
    assert rig.call("ListJobs", {"states": ["failed"]})["jobs"] == []
    with pytest.raises(SpecError):
        rig.call("ListJobs", {"states": ["done"]})
    assert time.process_time() - started < 10


@pytest.mark.parametrize("token", ["!", "bm8=", "é"])
def test_a_token_that_was_made_up_is_refused(rig, token):
    with pytest.raises(UsageError):
        rig.call("ListJobs", {"page_token": token})


def test_the_caller_is_the_systems_user_and_the_account_the_folders(root, host, monkeypatch):
    monkeypatch.setenv("LOGNAME", "somebody-else")
    identity = host.call("GetCallerIdentity")
    assert identity["principal"] != "somebody-else"
    with Host(root) as again:
        assert again.call("GetCallerIdentity") == identity
