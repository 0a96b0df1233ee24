"""Approval: taken by somebody else than the registrant, written where only approvers may write."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mlinfra.contract.capabilities import Capability, absent
from mlinfra.contract.states import Approval
from mlinfra.engine.approval import approve, decisions, require_approved, standing
from mlinfra.engine.audit import history as log
from mlinfra.engine.models import register
from mlinfra.engine.versions import resolve
from mlinfra.environment import StoreLocation
from mlinfra.errors import Denied, IntegrityError, UsageError

REJECTED = Approval.REJECTED


@pytest.fixture
def prod(world, package):
    """A production environment with one version, registered by Ann."""
    world.place("prod", stage="prod")
    register(world.session("prod", who="ann"), "credit-risk", package())
    return world.place("prod")


def may_serve(world):
    session = world.session("prod", who="deployer")
    require_approved(session, resolve(session, "credit-risk:1"))


def refusal(world):
    with pytest.raises(Denied) as caught:
        may_serve(world)
    return caught.value


def test_a_version_that_nobody_approved_may_not_serve(world, prod):
    refused = refusal(world)
    assert refused.exit_code == 3
    assert "approved by nobody" in refused.what
    assert "ann" in refused.given
    assert "mlinfra model approve credit-risk:1 -e prod" in refused.todo


def test_its_registrants_own_word_is_not_enough(world, prod):
    approve(world.session("prod", who="ann"), "credit-risk:1")
    assert world.heard("somebody else must too")
    assert "approved by ann alone, who registered it" in refusal(world).what


@pytest.mark.parametrize("name", ["ANN", "Ann"])
def test_letter_case_makes_nobody_another_person(world, prod, name):
    approve(world.session("prod", who=name), "credit-risk:1")
    refusal(world)


def test_another_persons_word_is(world, prod):
    decision = approve(world.session("prod", who="bob"), "credit-risk:1", note="AUC is fine")
    may_serve(world)
    assert (decision.approver, decision.note, decision.version) == ("bob", "AUC is fine", "1")
    found = standing(world.session("prod"), resolve(world.session("prod"), "credit-risk:1"))
    assert (found.approved, found.reason) == (True, "approved by bob")


def test_the_newest_word_counts(world, prod):
    approve(world.session("prod", who="bob"), "credit-risk:1")
    world.clock.sleep(60)
    approve(world.session("prod", who="eve"), "credit-risk:1", decision=REJECTED, note="it leaks")
    assert "rejected by eve: it leaks" in refusal(world).what
    world.clock.sleep(60)
    approve(world.session("prod", who="ann"), "credit-risk:1")
    assert "approved by ann alone" in refusal(world).what
    world.clock.sleep(60)
    approve(world.session("prod", who="bob"), "credit-risk:1")
    may_serve(world)


def test_in_dev_nothing_is_asked(world, package):
    session = world.session()
    register(session, "credit-risk", package())
    require_approved(session, resolve(session, "credit-risk:1"))


def test_an_environment_may_ask_for_it_in_other_stages(world, package):
    world.place("staging", stage="staging", approval=("staging", "prod"))
    register(world.session("staging"), "credit-risk", package())
    session = world.session("staging")
    with pytest.raises(Denied):
        require_approved(session, resolve(session, "credit-risk:1"))


def test_the_platforms_own_mark_is_set_and_not_believed(world, prod):
    approve(world.session("prod", who="bob"), "credit-risk:1", decision=REJECTED)
    assert prod.registry.rows[0].approval == "rejected"
    prod.registry.rows[0].approval = "approved"
    refusal(world)


def test_an_edited_owner_makes_the_registrant_no_other_person(world, prod):
    prod.registry.rows[0].owner = "somebody-else"
    approve(world.session("prod", who="ann"), "credit-risk:1")
    refusal(world)


def test_a_version_whose_registrant_nobody_knows_may_not_serve(world, prod):
    prod.registry.rows[0].owner = ""
    for key in [key for key in prod.objects if key.startswith("kit/uses/")]:
        del prod.objects[key]
    approve(world.session("prod", who="bob"), "credit-risk:1")
    assert "nobody knows who registered it" in refusal(world).what


def test_a_word_about_another_version_of_another_digest_does_not_count(world, prod, package):
    register(world.session("prod", who="ann"), "credit-risk", package("two", b"other"))
    approve(world.session("prod", who="bob"), "credit-risk:2")
    refusal(world)


def test_a_word_about_a_model_of_a_longer_name_does_not_count(world, prod, package):
    register(world.session("prod", who="ann"), "credit-risk-2", package("same"))
    approve(world.session("prod", who="bob"), "credit-risk-2:1")
    refusal(world)


def test_decisions_lie_in_the_store_of_approvers_where_there_is_one(world, package):
    world.place("prod", stage="prod", stores={"approvals": StoreLocation(uri="mem://approvals")})
    register(world.session("prod", who="ann"), "credit-risk", package())
    approve(world.session("prod", who="bob"), "credit-risk:1")
    place = world.place("prod")
    assert any(key.startswith("approvals/") for key in place.bucket("approvals").objects)
    assert not any(key.startswith("approvals/") for key in place.objects)
    may_serve(world)


def test_a_decision_is_never_overwritten_and_the_same_word_again_is_one_decision(world, prod, faults):
    session = world.session("prod", who="bob")
    first = approve(session, "credit-risk:1", note="fine")
    again = approve(world.session("prod", who="bob"), "credit-risk:1", note="fine")
    assert again.key == first.key
    other = approve(world.session("prod", who="bob"), "credit-risk:1", note="really")
    assert other.key != first.key
    assert len(decisions(session, resolve(session, "credit-risk:1"))) == 2


def test_a_lost_answer_leaves_one_decision(world, prod, faults):
    lossy = faults()
    lossy.lose.append(lambda place, operation: operation == "put" and "/approvals/" in place)
    approve(world.session("prod", who="bob", faults=lossy), "credit-risk:1")
    session = world.session("prod")
    assert len(decisions(session, resolve(session, "credit-risk:1"))) == 1


def test_a_decision_killed_at_any_call_and_taken_again_is_one_decision_with_its_mark(world, package, survive):
    folder = package()
    number = iter(range(1000))

    def prepare():
        name = f"prod-{next(number)}"
        world.place(name, stage="prod")
        register(world.session(name, who="ann"), "credit-risk", folder)

        def judge(case):
            session = world.session(name)
            version = resolve(session, "credit-risk:1")
            assert len(decisions(session, version)) == 1, case
            assert version.approval is Approval.APPROVED, case
            require_approved(session, version)

        return lambda faults: approve(world.session(name, who="bob", faults=faults), "credit-risk:1"), judge

    survive(prepare)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"model": "credit-risk"}',
        b"[1]",
    ],
)
def test_a_record_that_cannot_be_read_is_an_error_and_no_approval(world, prod, content):
    approve(world.session("prod", who="bob"), "credit-risk:1")
    key = next(key for key in prod.objects if key.startswith("approvals/"))
    prod.objects[key].content = content
    with pytest.raises(IntegrityError):
        may_serve(world)


def test_a_record_moved_to_another_digest_is_an_error(world, prod, package):
    register(world.session("prod", who="ann"), "credit-risk", package("two", b"other"))
    approve(world.session("prod", who="bob"), "credit-risk:2")
    (key,) = [key for key in prod.objects if key.startswith("approvals/")]
    digest = prod.registry.rows[0].digest.removeprefix("sha256:")
    prod.objects[f"approvals/{digest}/{key.split('/')[2]}"] = prod.objects[key]
    with pytest.raises(IntegrityError, match="another version"):
        may_serve(world)


def test_an_approver_who_may_do_nothing_else_still_decides(world, prod, monkeypatch):
    def forbid(place):
        def put(self, key, *args, **kwargs):
            if not key.startswith("approvals/"):
                raise Denied("only approvers' records may be written", given=key)
            return real(self, key, *args, **kwargs)

        return put

    session = world.session("prod", who="bob")
    store = type(session.client.store())
    real = store.put
    monkeypatch.setattr(store, "put", forbid(prod))
    approve(session, "credit-risk:1")
    monkeypatch.setattr(store, "put", real)
    may_serve(world)
    assert world.heard("the platform's own mark was not set")


def test_a_platform_without_marks_of_its_own_is_left_alone(world, prod, faults):
    world.capabilities[Capability.MODEL_APPROVAL] = absent("it has none")
    counted = faults()
    approve(world.session("prod", who="bob", faults=counted), "credit-risk:1")
    assert counted.count("mark") == 0
    may_serve(world)


def test_a_deleted_and_registered_again_version_must_be_approved_anew(world, prod, package):
    approve(world.session("prod", who="bob"), "credit-risk:1")
    row = prod.registry.rows[0]
    row.version = 2
    session = world.session("prod")
    with pytest.raises(Denied):
        require_approved(session, resolve(session, "credit-risk:2"))


@pytest.mark.parametrize("minutes", [-10, 10])
def test_which_word_came_last_is_told_by_the_stores_clock_and_not_by_the_approvers(world, prod, minutes):
    approve(world.session("prod", who="bob"), "credit-risk:1")
    world.clock.sleep(60)
    world.clock.skew = timedelta(minutes=minutes)
    approve(world.session("prod", who="eve"), "credit-risk:1", decision=REJECTED)
    world.clock.skew = timedelta(0)
    refusal(world)
    world.clock.sleep(60)
    approve(world.session("prod", who="bob"), "credit-risk:1", note="after a second look")
    may_serve(world)


def test_what_is_neither_approval_nor_rejection_is_refused(world, prod):
    with pytest.raises(UsageError):
        approve(world.session("prod"), "credit-risk:1", decision=Approval.PENDING)
    with pytest.raises(UsageError):
        approve(world.session("prod"), "credit-risk:1", note="x" * 3000)


def test_the_log_names_who_decided(world, prod):
    world.clock.sleep(1)
    approve(world.session("prod", who="bob"), "credit-risk:1", decision=REJECTED)
    assert [(entry.verb, entry.who) for entry in log(world.session("prod"), "model/credit-risk")] == [
        ("register", "ann"),
        ("reject", "bob"),
    ]
