"""Effects that go on after their replies are followed to their ends, and how they ended is told."""

from dataclasses import replace

import pytest

from mlinfra.contract.adapter import Caller
from mlinfra.contract.requests import Follow, Lookup, Ref, Request
from mlinfra.contract.steps import Done, Send
from mlinfra.engine.reconcile import reconcile
from mlinfra.errors import Conflict, DeploymentFailed, NotFound, Unavailable


class Vendor:
    """A service with one thing to make, which takes three looks to be there."""

    def __init__(self):
        self.asked, self.made, self.looks = [], 0, 0
        self.failure, self.forgets, self.exists = "", False, False

    def caller(self):
        return Caller("here", "ada")

    def send(self, request):
        self.asked.append(request.operation)
        return getattr(self, request.operation.lower())(request.body)

    def make(self, _body):
        if self.exists:
            raise Conflict("it exists")
        self.made += 1
        return {"name": "operations/1", "done": False}

    def operation(self, body):
        assert body == {"name": "operations/1"}
        self.looks += 1
        if self.forgets:
            raise NotFound("no such operation")
        if self.looks < 3:
            return {"name": "operations/1"}
        self.exists = not self.failure
        return {"name": "operations/1", "done": True, **({"error": {"message": self.failure}} if self.failure else {})}

    def thing(self, _body):
        return {"name": "things/1"}


MAKE = Request(
    "make",
    "fake",
    "Make",
    repeatable=True,
    lookup=Lookup(Request("look", "fake", "Thing", effect=False)),
    follow=Follow(
        Request("operation", "fake", "Operation", {"name": Ref("make", "name")}, effect=False),
        over="done",
        error="error.message",
        every=10.0,
    ),
)


@pytest.fixture
def vendor():
    return Vendor()


def run(world, vendor, *, deadline=1000.0, between=None):
    """Make the thing, unless an observation shows it; how often was observed?"""
    session = replace(world.session(), client=vendor)
    seen = []

    def observe():
        seen.append(vendor.exists)
        return vendor.exists

    reconcile(
        session, "p", observe, lambda there: Done() if there else Send((MAKE,)), deadline=deadline, between=between
    )
    return seen


def test_nothing_is_observed_before_the_operation_has_ended(world, vendor):
    assert run(world, vendor) == [False, True]
    assert vendor.asked == ["Make", "Operation", "Operation", "Operation"]
    assert world.clock.time == 20.0
    assert "waiting for Make to end" in world.said


def test_the_failure_is_the_service_s_own_words(world, vendor):
    vendor.failure = "the image cannot be read"
    with pytest.raises(DeploymentFailed, match="Make: the image cannot be read"):
        run(world, vendor)
    assert vendor.made == 1


def test_while_an_operation_is_followed_the_lease_is_renewed(world, vendor):
    renewed = []
    run(world, vendor, between=lambda: renewed.append(world.clock.time))
    assert renewed == [0.0, 10.0]


def test_an_operation_that_the_service_has_forgotten_is_over(world, vendor):
    vendor.forgets = True

    def remember():
        vendor.exists = True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vendor, "operation", lambda body: (remember(), Vendor.operation(vendor, body))[1])
        assert run(world, vendor) == [False, True]


def test_what_a_look_up_found_in_a_reply_s_place_began_no_operation(world, vendor):
    vendor.exists = True
    session = replace(world.session(), client=vendor)
    steps = iter([Send((MAKE,)), Done()])
    reconcile(session, "p", lambda: None, lambda _: next(steps), deadline=10.0)
    assert vendor.asked == ["Make", "Thing"]


def test_an_operation_without_end_is_given_up_at_the_deadline(world, vendor):
    vendor.looks = -1000
    with pytest.raises(Unavailable, match="still waiting for Make to end"):
        run(world, vendor, deadline=100.0)
    assert world.clock.time == 100.0
