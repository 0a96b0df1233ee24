import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.contract.endpoints import DeploymentDesired
from mlinfra.contract.jobs import Artefact
from mlinfra.engine.releases import Release
from mlinfra.engine.rollout import (
    Phase,
    Rollout,
    arrived,
    begin,
    dropped,
    gave_up,
    goal,
    measured,
    probed,
    send_back,
)
from mlinfra.engine.rollout_rules import Course, Policy, Verdict
from mlinfra.spec import EndpointSpec

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SPEC = EndpointSpec.from_document({"name": "credit-risk", "model": "credit-risk:1"})


def release(**shares):
    deployments = tuple(
        DeploymentDesired(
            name, name[0], "credit-risk", name[1:], f"sha256:{name}", "", Artefact(f"m://{name}"), share, 1
        )
        for name, share in shares.items()
    )
    return Release(SPEC, deployments)


OLD, NEW = release(a1=70, b1=30), release(a2=70, b1=30)
POLICY = Policy(steps=(10, 50, 100), bake=60, min_requests=10)


def started(old=OLD, new=NEW, policy=POLICY):
    return begin(old, new, policy, NOW, who="ada")


def forward(rollout):
    return measured(rollout, Verdict(Course.FORWARD, "good"), {}, NOW)


def test_the_way_forward_step_by_step():
    rollout = started()
    seen = []
    while not rollout.phase.over:
        shape = dict(goal(rollout).traffic)
        seen.append((str(rollout.phase), shape))
        rollout = {
            Phase.PROBING: lambda r: probed(r, NOW, "fine"),
            Phase.BAKING: forward,
        }.get(rollout.phase, lambda r: arrived(r, NOW))(rollout)
    before = {"a2": 0, "b1": 30, "a1": 70}
    tenth, half, whole = {"a2": 7, "b1": 30, "a1": 63}, {"a2": 35, "b1": 30, "a1": 35}, {"a2": 70, "b1": 30, "a1": 0}
    assert seen == [
        ("preparing", before),
        ("probing", before),
        ("shifting", tenth),
        ("baking", tenth),
        ("shifting", half),
        ("baking", half),
        ("shifting", whole),
        ("baking", whole),
        ("finishing", {"a2": 70, "b1": 30}),
    ]
    assert rollout.phase is Phase.COMPLETED
    assert rollout.newcomers == ("a2",)


def test_the_way_back_returns_traffic_before_it_removes_anything():
    baking = arrived(probed(arrived(started(), NOW), NOW, ""), NOW)
    assert baking.phase is Phase.BAKING
    back = measured(baking, Verdict(Course.BACK, "12 % errors"), {"a2": {"requests": 60}}, NOW)
    assert (back.phase, goal(back).traffic) == (Phase.RETREATING, {"a1": 70, "b1": 30, "a2": 0})
    clean = arrived(back, NOW)
    assert (clean.phase, goal(clean).traffic) == (Phase.CLEANING, {"a1": 70, "b1": 30})
    end = arrived(clean, NOW)
    assert (end.phase, end.cause) == (Phase.ROLLED_BACK, "12 % errors")
    assert [each.figures for each in end.decisions if each.verb == "sent back"] == [{"a2": {"requests": 60}}]


@pytest.mark.parametrize("at", [Phase.PREPARING, Phase.PROBING])
def test_what_never_had_traffic_is_removed_at_once(at):
    rollout = started() if at is Phase.PREPARING else arrived(started(), NOW)
    back = gave_up(rollout, "never ready", NOW)
    assert (back.phase, goal(back).traffic, back.end) == (Phase.CLEANING, OLD.traffic, Phase.FAILED)


def test_a_first_release_has_nothing_to_go_back_to():
    rollout = started(old=None)
    assert goal(rollout) == NEW
    assert goal(gave_up(rollout, "broken", NOW)) is None
    assert probed(arrived(rollout, NOW), NOW, "").phase is Phase.FINISHING


def test_going_back_twice_is_going_back_once():
    back = send_back(arrived(probed(arrived(started(), NOW), NOW, ""), NOW), Phase.ABORTED, "ada asked for it", NOW)
    assert send_back(back, Phase.ROLLED_BACK, "errors", NOW) is back


def test_a_way_back_that_the_platform_refuses_ends_in_the_old_release_alone():
    back = send_back(arrived(probed(arrived(started(), NOW), NOW, ""), NOW), Phase.ABORTED, "", NOW)
    stuck = gave_up(back, "a2 failed", NOW)
    assert (stuck.phase, stuck.end, goal(stuck).traffic) == (Phase.CLEANING, Phase.ABORTED, OLD.traffic)


def test_a_policy_without_bake_and_rules_passes_every_step_at_once():
    rollout = arrived(probed(arrived(started(policy=Policy()), NOW), NOW, ""), NOW)
    assert rollout.phase is Phase.FINISHING


def test_being_held_is_noted_once_a_step():
    rollout = arrived(probed(arrived(started(), NOW), NOW, ""), NOW)
    hold = Verdict(Course.HOLD, "5 of 10")
    once = measured(rollout, hold, {}, NOW)
    assert once.decisions[-1].verb == "held"
    assert measured(once, hold, {}, NOW) is once
    assert measured(rollout, Verdict(Course.BAKE, "5 requests"), {}, NOW) is rollout


EVENTS = {
    "arrived": lambda r: arrived(r, NOW + timedelta(seconds=1)),
    "probed": lambda r: probed(r, NOW, "fine") if r.phase is Phase.PROBING else r,
    "forward": lambda r: forward(r) if r.phase is Phase.BAKING else r,
    "hold": lambda r: measured(r, Verdict(Course.HOLD, "few"), {}, NOW) if r.phase is Phase.BAKING else r,
    "back": lambda r: measured(r, Verdict(Course.BACK, "errors"), {}, NOW) if r.phase is Phase.BAKING else r,
    "gave up": lambda r: gave_up(r, "broken", NOW),
    "abort": lambda r: send_back(r, Phase.ABORTED, "asked", NOW),
    "dropped": lambda r: dropped(r, "gone", NOW),
}


@given(
    st.lists(st.sampled_from(sorted(EVENTS)), max_size=30),
    st.sampled_from([(OLD, NEW), (OLD, release(c1=100)), (None, NEW), (release(a1=100, x1=0), release(a1=50, a2=50))]),
    st.sampled_from([POLICY, Policy(), Policy(steps=(100,), bake=5)]),
)
def test_whatever_happens_every_shape_is_one_that_serves(events, releases, policy):
    old, new = releases
    rollout = begin(old, new, policy, NOW, who="ada")
    was_probed = False
    for event in events:
        if rollout.phase.over:
            break
        if rollout.phase in (Phase.PROBING, Phase.BAKING) and event == "arrived":
            continue
        was_probed |= event == "probed" and rollout.phase is Phase.PROBING
        rollout = EVENTS[event](rollout)
        shape = goal(rollout)
        assert Rollout.from_document(json.loads(json.dumps(rollout.as_document()))) == rollout
        if shape is None:
            assert old is None
            continue
        assert sum(shape.traffic.values()) == 100
        if old and not was_probed:
            assert not any(shape.traffic.get(name) for name in rollout.newcomers)
        if old and rollout.phase not in (Phase.FINISHING, Phase.COMPLETED):
            assert old.names <= shape.names
