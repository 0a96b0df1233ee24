"""A model's history, also where a client died before it could write it down."""

from __future__ import annotations

import pytest

from mlinfra.engine.approval import approve
from mlinfra.engine.history import history
from mlinfra.engine.marks import alias, stage
from mlinfra.engine.models import register
from mlinfra.errors import NotFound


def test_everything_done_to_a_model_is_told_in_order(world, package):
    session = world.session()
    for verb in (
        lambda: register(session, "credit-risk", package()),
        lambda: register(session, "credit-risk-2", package("two")),
        lambda: alias(session, "credit-risk:1", "champion"),
        lambda: stage(session, "credit-risk:1", "prod"),
        lambda: approve(world.session(who="bob"), "credit-risk:1"),
    ):
        verb()
        world.clock.sleep(1)
    told = [(entry.verb, entry.subject, entry.who) for entry in history(session, "credit-risk")]
    assert told == [
        ("register", "model/credit-risk:1", "ann"),
        ("alias", "model/credit-risk:1", "ann"),
        ("stage", "model/credit-risk:1", "ann"),
        ("approve", "model/credit-risk:1", "bob"),
    ]


def test_what_a_dead_client_could_not_log_is_told_from_what_it_did(world, package):
    session = world.session()
    register(session, "credit-risk", package())
    world.clock.sleep(1)
    approve(world.session(who="bob"), "credit-risk:1", note="fine")
    for key in [key for key in world.place().objects if key.startswith("kit/log/")]:
        del world.place().objects[key]
    told = [(entry.verb, entry.subject, entry.who) for entry in history(session, "credit-risk")]
    assert told == [("register", "model/credit-risk:1", "ann"), ("approve", "model/credit-risk:1", "bob")]


def test_a_model_of_which_nothing_is_known_is_not_found(world):
    with pytest.raises(NotFound):
        history(world.session(), "credit-risk")
