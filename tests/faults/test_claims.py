"""A platform that takes neither a name nor a token on create, and whose lists lag: there is one of everything."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.contract.requests import Lookup, Request
from mlinfra.engine import claims
from mlinfra.engine.effects import effect
from mlinfra.engine.pauses import TRIES
from mlinfra.errors import Denied, Throttled, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.contract.adapter import Client
    from mlinfra.contract.requests import Document
    from mlinfra.engine.session import Session

    from .conftest import QuickClock, Rig

LAG = 15.0
FIND = Request("find", "nameless", "List", effect=False)
CREATE = Request("make", "nameless", "Create", lookup=Lookup(FIND, "items"))


@dataclass
class Nameless:
    """Shows what was made `LAG` seconds later.

    `fates` are what happens to the creates, one after the other; `during` happens while one is under way.
    """

    client: Client
    clock: QuickClock
    fates: list[Callable[[], None]] = field(default_factory=list)
    made: list[tuple[float, Document]] = field(default_factory=list)
    during: Callable[[], None] = lambda: None

    def send(self, request: Request) -> Document:
        now = self.clock.monotonic()
        if request.operation == "List":
            return {"items": [item for at, item in self.made if now - at >= LAG]}
        self.during()
        fate = self.fates.pop(0) if self.fates else None
        if fate is None or fate is answer_lost:
            self.made.append((now, {"number": len(self.made)}))
        if fate:
            fate()
        return self.made[-1][1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)


def answer_lost() -> None:
    raise Unavailable("no answer")


def throttled() -> None:
    raise Throttled("slow down", sent=False)


def denied() -> None:
    raise Denied("not permitted", given="Create", todo="ask")


@pytest.fixture
def platform(rig: Rig) -> Nameless:
    return Nameless(rig.client.client, rig.clock)


@pytest.fixture
def session(rig: Rig, platform: Nameless) -> Session:
    return replace(rig.session, client=platform)


def test_the_same_process_makes_one_while_lists_lag(session: Session, platform: Nameless):
    assert [effect(session, "p", CREATE) for _ in range(3)] == [{"number": 0}] * 3
    assert len(platform.made) == 1


def test_while_one_creates_the_others_wait_for_what_it_makes(session: Session, platform: Nameless):
    others: list[Any] = []

    def another_comes() -> None:
        seen = iter([None, None, None, {"number": 0}])
        others.append(claims.claim(session, "p", "make", lambda: next(seen)))

    platform.during = another_comes
    effect(session, "p", CREATE)
    assert others == [(None, {"number": 0})]


def test_a_lost_answer_is_not_sent_again(session: Session, platform: Nameless):
    platform.fates = [answer_lost]
    assert effect(session, "p", CREATE) == {"number": 0}
    assert len(platform.made) == 1


def test_what_certainly_had_no_effect_leaves_no_claim(session: Session, platform: Nameless, rig: Rig):
    platform.fates = [denied]
    with pytest.raises(Denied):
        effect(session, "p", CREATE)
    before = rig.clock.monotonic()
    effect(session, "p", CREATE)
    assert rig.clock.monotonic() - before < claims.PAUSE


def test_a_throttled_create_is_tried_again_under_the_same_claim(session: Session, platform: Nameless):
    platform.fates = [throttled] * (TRIES - 1)
    effect(session, "p", CREATE)
    assert len(platform.made) == 1


def test_a_dead_process_holds_no_claim_longer_than_lists_lag(
    session: Session, platform: Nameless, rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    held, _ = claims.claim(session, "p", "make", lambda: None)
    assert held is not None
    monkeypatch.setattr("mlinfra.engine.claims.died_here", lambda _host, pid: pid == os.getpid())
    before = rig.clock.monotonic()
    effect(session, "p", CREATE)
    assert claims.VISIBILITY - claims.PAUSE <= rig.clock.monotonic() - before < claims.VISIBILITY + 2 * claims.PAUSE
    assert len(platform.made) == 1


def test_a_claim_of_another_machine_that_comes_to_nothing_runs_out(
    session: Session, platform: Nameless, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("mlinfra.engine.claims.socket.gethostname", lambda: "elsewhere")
        claims.claim(session, "p", "make", lambda: None)
    effect(session, "p", CREATE)
    assert len(platform.made) == 1


def test_whoever_claims_first_looks_for_nothing(session: Session):
    looked: list[str] = []
    held, found = claims.claim(session, "p", "make", lambda: looked.append("") or None)
    assert (held is not None, found, looked) == (True, None, [])


def test_what_is_gone_for_good_is_made_again_at_once(session: Session, platform: Nameless, rig: Rig):
    effect(session, "p", CREATE)
    platform.made.clear()
    claims.forget(session, "p", "make")
    before = rig.clock.monotonic()
    effect(session, "p", CREATE)
    assert rig.clock.monotonic() - before < claims.PAUSE


def test_a_claim_whose_own_answer_was_lost_is_still_ours(session: Session, monkeypatch: pytest.MonkeyPatch):
    written = claims._write
    answers = iter([False])
    monkeypatch.setattr(claims, "_write", lambda ours, held: written(ours, held) and next(answers, True))
    held, _ = claims.claim(session, "p", "make", lambda: None)
    assert held is not None
