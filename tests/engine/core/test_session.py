from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from mlinfra.contract.adapter import Caller
from mlinfra.engine.pauses import TRIES
from mlinfra.engine.session import Session
from mlinfra.environment import Environment
from mlinfra.errors import Denied, MlinfraError, Unavailable, WrongAccount

if TYPE_CHECKING:
    from collections.abc import Iterable


class Forgetful:
    """A platform whose answers about the caller get lost, as the script says."""

    def __init__(self, script: Iterable[MlinfraError], account: str = "here") -> None:
        self.script = list(script)
        self.account = account
        self.asked = 0

    def caller(self) -> Caller:
        self.asked += 1
        if self.script:
            raise self.script.pop(0)
        return Caller(self.account, "ada")


def session(client: Forgetful, said: list[str] | None = None) -> Session:
    nothing = cast("Any", None)
    clock = cast("Any", SimpleNamespace(sleep=lambda _: None))
    environment = Environment.model_validate({"name": "fake-dev", "platform": "fake", "account": "here"})
    say = [].append if said is None else said.append
    return Session(environment, nothing, cast("Any", client), nothing, nothing, nothing, clock=clock, say=say)


def lost() -> Unavailable:
    return Unavailable("no answer")


def test_the_caller_is_asked_for_once():
    client = Forgetful([])
    one = session(client)
    one.verify_account()
    assert (one.caller.principal, client.asked) == ("ada", 1)


def test_a_lost_answer_is_asked_for_again_and_told():
    client, said = Forgetful([lost(), lost()]), []
    assert session(client, said).caller.principal == "ada"
    assert client.asked == 3
    assert [text.partition(";")[0] for text in said] == ["no answer", "no answer"]


def test_patience_ends_and_other_errors_have_none():
    client = Forgetful([lost() for _ in range(2 * TRIES)])
    with pytest.raises(Unavailable):
        session(client).verify_account()
    assert client.asked == TRIES
    refused = Forgetful([Denied("no credentials")])
    with pytest.raises(Denied):
        session(refused).verify_account()
    assert refused.asked == 1


def test_another_account_is_refused_each_time():
    client = Forgetful([], account="elsewhere")
    one = session(client)
    for _ in range(2):
        with pytest.raises(WrongAccount):
            one.verify_account()
