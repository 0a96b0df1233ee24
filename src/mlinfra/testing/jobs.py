"""Jobs: one for one piece of work, their whole life, their logs, their ends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from mlinfra.contract.capabilities import Capability, Level, support
from mlinfra.contract.jobs import JobQuery
from mlinfra.contract.states import JobState
from mlinfra.engine import jobs
from mlinfra.engine.recover import recover
from mlinfra.engine.session import open_session
from mlinfra.engine.submit import Submission, submit
from mlinfra.engine.track import attempts, find_jobs
from mlinfra.errors import CapabilityError, Conflict, JobFailed, NotFound
from mlinfra.testing.base import MAX_RUNTIME, Suite, prepared
from mlinfra.testing.projects import job

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.contract.jobs import JobObservation
    from mlinfra.engine.session import Session
    from mlinfra.spec import JobSpec


def run(session: Session, spec: JobSpec, project: Path) -> JobObservation:
    """Submit a job and wait for its end."""
    submission = submit(session, prepared(session, spec, project))
    return finish(session, submission)


def finish(session: Session, submission: Submission) -> JobObservation:
    """Wait for a submitted job's end."""
    ended, _ = jobs.wait(session, [submission.job], max_runtime=MAX_RUNTIME)
    return ended[-1]


def wait_for_line(session: Session, running: JobObservation, text: str) -> None:
    """Wait until the job has printed a line."""
    for line in jobs.logs(session, running, follow=True):
        if text in line.text:
            return
    raise AssertionError(f"the job ended without printing {text!r}")


class JobSuite(Suite):
    """What a platform's jobs must do."""

    def test_a_job_runs_and_its_output_is_read_line_by_line(self, session: Session, project: Path) -> None:
        ended = run(session, job("hello", "hello.py", "world"), project)
        assert ended.state is JobState.SUCCEEDED
        assert ended.started is not None
        assert ended.ended is not None
        assert "hello world" in [line.text for line in jobs.logs(session, ended)]

    def test_states_only_move_forward(self, session: Session, project: Path) -> None:
        seen: list[JobState] = []
        submission = submit(session, prepared(session, job("hello", "hello.py"), project))
        jobs.wait(session, [submission.job], max_runtime=MAX_RUNTIME, on_change=lambda each: seen.append(each.state))
        order = [JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.SUCCEEDED]
        assert [state for state in order if state in seen] == seen
        assert seen[-1] is JobState.SUCCEEDED

    def test_the_same_work_is_one_job(self, session: Session, project: Path) -> None:
        first = submit(session, prepared(session, job("hello", "hello.py"), project))
        second = submit(session, prepared(session, job("hello", "hello.py"), project))
        assert (first.reused, second.reused) == (False, True)
        assert first.job.native_id == second.job.native_id
        finish(session, first)
        third = submit(session, prepared(session, job("hello", "hello.py"), project))
        assert third.reused
        assert third.job.state is JobState.SUCCEEDED

    def test_two_submissions_at_once_are_one_job(self, session: Session, project: Path) -> None:
        ready = prepared(session, job("hello", "hello.py"), project)

        def submit_from_elsewhere(_: int) -> Submission:
            with open_session(session.environment, folders=session.folders, say=lambda _: None) as other:
                return submit(other, ready)

        with ThreadPoolExecutor(4) as pool:
            submissions = list(pool.map(submit_from_elsewhere, range(4)))
        assert len({each.job.native_id for each in submissions}) == 1
        assert len(attempts(session, submissions[0].id)) == 1
        finish(session, submissions[0])

    def test_an_occasion_sets_a_repetition_apart(self, session: Session, project: Path) -> None:
        first = submit(session, prepared(session, job("hello", "hello.py"), project))
        again = submit(session, prepared(session, job("hello", "hello.py"), project, occasion="again"))
        assert not again.reused
        assert first.id != again.id
        for each in (first, again):
            finish(session, each)

    def test_changed_code_is_other_work(self, session: Session, project: Path) -> None:
        first = submit(session, prepared(session, job("hello", "hello.py"), project))
        (project / "hello.py").write_text("print('changed')\n")
        second = submit(session, prepared(session, job("hello", "hello.py"), project))
        assert first.id != second.id
        for each in (first, second):
            finish(session, each)

    def test_after_a_failure_comes_the_next_attempt(self, session: Session, project: Path) -> None:
        first = submit(session, prepared(session, job("fail", "fail.py"), project))
        assert finish(session, first).state is JobState.FAILED
        second = submit(session, prepared(session, job("fail", "fail.py"), project))
        assert (second.id, second.job.attempt) == (first.id, 2)
        finish(session, second)

    def test_a_failure_tells_its_reason_and_exit_code(self, session: Session, project: Path) -> None:
        ended = run(session, job("fail", "fail.py"), project)
        assert ended.state is JobState.FAILED
        assert "the data has no rows" in ended.reason
        with pytest.raises(JobFailed, match="the data has no rows"):
            jobs.raise_for_state(ended)

    def test_a_stopped_job_had_time_to_end(self, session: Session, project: Path) -> None:
        submission = submit(session, prepared(session, job("sleep", "sleep.py", "60"), project))
        wait_for_line(session, submission.job, "sleeping")
        stopped = jobs.stop(session, submission.job)
        assert stopped.state is JobState.STOPPED
        assert "asked to stop" in [line.text for line in jobs.logs(session, stopped)]
        assert jobs.stop(session, stopped).state is JobState.STOPPED

    def test_a_job_that_takes_too_long_is_timed_out(self, session: Session, project: Path) -> None:
        spec = job("sleep", "sleep.py", "60", resources={"max_runtime": "2s"})
        assert run(session, spec, project).state is JobState.TIMED_OUT

    def test_logs_go_on_from_a_token(self, session: Session, project: Path) -> None:
        ended = run(session, job("hello", "hello.py"), project)
        reader = session.adapter.observe
        first = reader.logs(
            session.client.send(session.adapter.jobs.logs(ended, session.environment, None)), session.environment
        )
        rest = reader.logs(
            session.client.send(session.adapter.jobs.logs(ended, session.environment, first.token)),
            session.environment,
        )
        assert [line for line in rest.lines if line in first.lines] == []

    def test_inputs_and_outputs_arrive(self, session: Session, project: Path, tmp_path: Path) -> None:
        spec = job(
            "copy",
            "duplicate.py",
            "${{inputs.data}}",
            "${{outputs.out}}",
            inputs={"data": "data.csv"},
            outputs={"out": {}},
        )
        ended = run(session, spec, project)
        jobs.download(session, ended, tmp_path / "fetched")
        assert (tmp_path / "fetched" / "out" / "copied.txt").read_text() == "x\n1\n2\n"

    def test_an_argument_is_never_a_shell_line(self, session: Session, project: Path) -> None:
        spec = job("hello", "hello.py", "${{params.depth}}", params={"depth": "6; rm -rf / & $(reboot)"})
        ended = run(session, spec, project)
        assert "hello 6; rm -rf / & $(reboot)" in [line.text for line in jobs.logs(session, ended)]

    def test_every_metric_is_read_back(self, session: Session, project: Path) -> None:
        ended = run(session, job("metrics", "metrics.py", "0.9"), project)
        points = jobs.metrics(session, ended)
        assert [(p.name, p.step) for p in points] == [("loss", 0), ("loss", 1), ("loss", 2), ("auc", None)]
        assert points[-1].value == pytest.approx(0.9, rel=0, abs=0)
        told = jobs.resolve(session, ended.native_id).metrics
        assert told == {point.name: point.value for point in points}

    def test_several_nodes_know_each_other(self, session: Session, project: Path) -> None:
        spec = job("nodes", "nodes.py", resources={"nodes": 2})
        if support(session.adapter.capabilities, Capability.JOB_NODES).level is Level.ABSENT:
            self._refused(session, spec, project, Capability.JOB_NODES)
            return
        ended = run(session, spec, project)
        printed = sorted(line.text for line in jobs.logs(session, ended) if line.text.startswith("node"))
        assert [line.split(" at ")[0] for line in printed] == ["node 0 of 2", "node 1 of 2"]

    @pytest.mark.parametrize(
        ("capability", "fields"),
        [
            (Capability.JOB_SPOT, {"resources": {"spot": True}}),
            (Capability.JOB_ACCELERATOR, {"resources": {"accelerator": {"kind": "l4", "count": 1}}}),
            (Capability.JOB_SECRETS, {"secrets": {"PASSWORD": "risk-db"}}),
            (Capability.JOB_DISK, {"resources": {"disk": "50Gi"}}),
        ],
    )
    def test_an_absent_capability_is_refused_with_its_reason(
        self, session: Session, project: Path, capability: Capability, fields: dict[str, object]
    ) -> None:
        spec = job("hello", "hello.py", **fields)
        if support(session.adapter.capabilities, capability).level is Level.ABSENT:
            self._refused(session, spec, project, capability)
        else:
            prepared(session, spec, project)

    def test_a_deleted_job_is_gone_and_deleting_again_is_not_found(self, session: Session, project: Path) -> None:
        ended = run(session, job("hello", "hello.py"), project)
        jobs.delete(session, ended)
        assert list(find_jobs(session, JobQuery(id=ended.id))) == []
        with pytest.raises(NotFound):
            jobs.resolve(session, ended.native_id)

    def test_a_running_job_is_not_deleted(self, session: Session, project: Path) -> None:
        submission = submit(session, prepared(session, job("sleep", "sleep.py", "60"), project))
        with pytest.raises(Conflict):
            jobs.delete(session, submission.job)
        jobs.stop(session, submission.job)

    def test_a_job_is_found_by_handle_and_by_the_first_digits_of_its_work(
        self, session: Session, project: Path
    ) -> None:
        ended = run(session, job("hello", "hello.py"), project)
        for reference in (str(jobs.handle_of(session, ended)), ended.native_id, ended.id[:10]):
            assert jobs.resolve(session, reference).native_id == ended.native_id

    def test_many_jobs_are_waited_for_together(self, session: Session, project: Path) -> None:
        submissions = [
            submit(session, prepared(session, job("hello", "hello.py", str(number)), project)) for number in range(5)
        ]
        ended, _ = jobs.wait(session, [each.job for each in submissions], max_runtime=MAX_RUNTIME)
        assert [each.id for each in ended] == [each.id for each in submissions]
        assert {each.state for each in ended} == {JobState.SUCCEEDED}

    def test_a_listing_goes_over_all_its_pages(self, session: Session, project: Path) -> None:
        submissions = [
            submit(session, prepared(session, job("hello", "hello.py", str(number)), project)) for number in range(5)
        ]
        listed = [each.id for each in find_jobs(session, JobQuery(page_size=2))]
        assert sorted(listed) == sorted(each.id for each in submissions)
        jobs.wait(session, [each.job for each in submissions], max_runtime=MAX_RUNTIME)

    def test_recovering_when_nothing_is_open_does_nothing(self, session: Session, project: Path) -> None:
        run(session, job("hello", "hello.py"), project)
        recovered = recover(session)
        assert (recovered.settled, recovered.followed, recovered.open) == ((), (), 0)

    def _refused(self, session: Session, spec: JobSpec, project: Path, capability: Capability) -> None:
        reason = support(session.adapter.capabilities, capability).reason
        with pytest.raises(CapabilityError) as refusal:
            prepared(session, spec, project)
        assert reason in str(refusal.value)
