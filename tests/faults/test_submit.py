"""However a submission goes wrong, there is one job for one piece of work."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.contract.jobs import JobQuery
from mlinfra.contract.states import JobState
from mlinfra.engine.recover import recover
from mlinfra.engine.submit import Submission, submit
from mlinfra.engine.track import find_jobs, observe_job
from mlinfra.errors import KitFault, Throttled, Unavailable, WrongAccount
from mlinfra.testing.base import prepared
from mlinfra.testing.projects import job

from .conftest import Killed, Rig

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.contract.requests import Document, Request

HELLO = job("hello", "hello.py")


def submit_hello(rig: Rig) -> Submission:
    return submit(rig.session, prepared(rig.session, HELLO, rig.project))


def throttled(_: Request, __: Callable[[], Document]) -> Document:
    raise Throttled("slow down", retry_after=7, sent=False)


def unavailable(_: Request, __: Callable[[], Document]) -> Document:
    raise Unavailable("no answer")


def reply_lost(_: Request, real: Callable[[], Document]) -> Document:
    real()
    raise Unavailable("the connection was cut after the request was taken")


def killed(_: Request, __: Callable[[], Document]) -> Document:
    raise Killed


def killed_after(_: Request, real: Callable[[], Document]) -> Document:
    real()
    raise Killed


@pytest.mark.parametrize("fault", [throttled, unavailable, reply_lost])
@pytest.mark.parametrize("operation", ["ListJobs", "CreateJob"])
def test_a_fault_once_leaves_one_job(rig: Rig, operation: str, fault: Any):
    rig.client.faults[operation, 1] = fault
    submission = submit_hello(rig)
    assert not submission.reused
    assert [each["name"] for each in rig.jobs()] == [submission.job.native_id]


def test_a_lost_reply_is_looked_up_and_not_sent_again(rig: Rig):
    rig.client.faults["CreateJob", 1] = reply_lost
    submit_hello(rig)
    assert rig.client.calls["CreateJob"] == 1


def test_the_pause_that_the_platform_asks_for_is_kept(rig: Rig):
    rig.client.faults["CreateJob", 1] = throttled
    submit_hello(rig)
    assert 7 in rig.clock.paused


def test_one_failure_in_three_calls_is_only_slower(rig: Rig):
    def sometimes(request: Request, real: Callable[[], Document]) -> Document:
        return throttled(request, real) if sum(rig.client.calls.values()) % 3 == 0 else real()

    rig.client.every = sometimes
    for number in range(10):
        submit(rig.session, prepared(rig.session, job("hello", "hello.py", str(number)), rig.project))
    rig.client.every = None
    assert len(rig.jobs()) == 10


def test_a_platform_that_never_answers_is_given_up_and_asked_again_by_the_next_command(rig: Rig):
    rig.client.every = unavailable
    with pytest.raises(Unavailable):
        submit_hello(rig)
    rig.client.every = None
    submit_hello(rig)
    assert len(rig.jobs()) == 1


@pytest.mark.parametrize("fault", [killed, killed_after])
@pytest.mark.parametrize("call", range(1, 7))
def test_killed_at_any_call_the_same_command_finishes_the_work(rig: Rig, call: int, fault: Any):
    def at_that_call(request: Request, real: Callable[[], Document]) -> Document:
        return fault(request, real) if sum(rig.client.calls.values()) == call else real()

    rig.client.every = at_that_call
    with contextlib.suppress(Killed):
        submit_hello(rig)
    rig.client.every = None

    submission = submit_hello(rig)

    assert [each["name"] for each in rig.jobs()] == [submission.job.native_id]
    assert submission.job.attempt == 1


def test_recovering_settles_what_a_dead_process_left_open(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    rig.client.faults["CreateJob", 1] = killed_after
    with pytest.raises(Killed):
        submit_hello(rig)
    monkeypatch.setattr("mlinfra.engine.journal.os.getpid", lambda: -1)
    monkeypatch.setattr("mlinfra.engine.journal.is_alive", lambda _: False)

    recovered = recover(rig.session)

    assert [(each.operation, each.there) for each in recovered.settled] == [("CreateJob", True)]
    assert recover(rig.session).settled == ()


def test_with_another_account_nothing_is_sent(rig: Rig):
    elsewhere = rig.session.environment.model_copy(update={"account": "somebody-elses"})
    with pytest.raises(WrongAccount) as refusal:
        submit(replace(rig.session, environment=elsewhere, _caller=[]), prepared(rig.session, HELLO, rig.project))
    assert refusal.value.exit_code == 3
    assert rig.jobs() == []
    assert set(rig.client.calls) == {"ListJobs"}


def test_a_word_that_nobody_knows_is_an_unknown_state_that_does_not_end(rig: Rig):
    submission = submit_hello(rig)
    rig.client.faults["DescribeJob", rig.client.calls["DescribeJob"] + 1] = lambda _, real: {
        **real(),
        "state": "levitating",
    }
    observed = observe_job(rig.session, submission.job.native_id)
    assert observed.state is JobState.UNKNOWN
    assert not observed.state.terminal


def test_a_listing_that_goes_in_circles_is_noticed(rig: Rig):
    rig.client.client = PageTokenless(rig.client.client)
    rig.client.every = lambda _, real: {**real(), "next_token": "the same"}
    with pytest.raises(KitFault, match="circle"):
        list(find_jobs(rig.session, JobQuery()))


def test_an_empty_page_is_not_the_end_of_a_listing(rig: Rig):
    submission = submit_hello(rig)

    def empty_then_real(request: Request, real: Callable[[], Document]) -> Document:
        return real() if request.body.get("page_token") == "more" else {"jobs": [], "next_token": "more"}

    rig.client.client = PageTokenless(rig.client.client)
    rig.client.every = empty_then_real
    assert [each.native_id for each in find_jobs(rig.session, JobQuery())] == [submission.job.native_id]


class PageTokenless:
    """The host does not know the token that the fault made up."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def send(self, request: Any) -> Any:
        return self._client.send(replace(request, body={k: v for k, v in request.body.items() if k != "page_token"}))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)
