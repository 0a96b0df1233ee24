from datetime import UTC, datetime, timedelta

import pytest

from mlinfra.contract.endpoints import Rule
from mlinfra.contract.health import Health
from mlinfra.engine.rollout_rules import Course, Policy, Sample, breach, has_baked, judge

START = datetime(2030, 1, 1, tzinfo=UTC)
ERRORS = Rule("error_rate", 0.01)
SLOW = Rule("p99", 0.5)
POLICY = Policy(steps=(10, 100), bake=300, min_requests=200, rules=(ERRORS, SLOW))


def counts(requests, errors=0, *, seconds=300, rejected=0, p99=0.1):
    latency = p99 if requests else None
    return Health(START, START + timedelta(seconds=seconds), requests, errors, rejected, p50=latency, p99=latency)


def verdict(health, *, baked=True, last=False, policy=POLICY, latest=None):
    return judge(policy, {"new": Sample(health, latest)}, baked=baked, last=last)


@pytest.mark.parametrize(
    ("health", "broken"),
    [
        (counts(100, 2), True),
        (counts(100, 1), False),  # at the bound is not above it
        (counts(49, 49), False),  # a rule needs 50 requests
        (counts(50, 1), True),
        (counts(1000, 10), False),
        (counts(1000, 11), True),
        (counts(50, p99=0.51), True),
        (counts(49, p99=9.0), False),
        (counts(0), False),
    ],
)
def test_a_rule_is_broken_above_its_bound_and_from_fifty_requests(health, broken):
    assert bool(breach(POLICY, health)) is broken


def test_a_broken_rule_says_its_figures():
    assert breach(POLICY, counts(200, 25)) == "the error rate is 12.5 %, allowed is 1 % (200 requests, 25 errors)"
    assert breach(POLICY, counts(60, p99=0.75)).startswith(
        "the 99th percentile of latency is 750 ms, allowed is 500 ms"
    )


def test_rejected_requests_are_no_errors_but_have_a_rule_of_their_own():
    rejected = counts(100, rejected=60)
    assert not breach(POLICY, rejected)
    assert "60 %" in breach(Policy(rules=(Rule("rejected_rate", 0.5),)), rejected)


def test_the_median_has_a_rule_too():
    assert "median" in breach(Policy(rules=(Rule("p50", 0.05),)), counts(100, p99=0.2))


def test_a_broken_rule_counts_before_the_step_has_baked():
    assert verdict(counts(100, 50), baked=False).course is Course.BACK


def test_errors_of_the_newest_period_count_where_the_whole_hides_them():
    good_for_long = counts(100_000, 60)
    assert verdict(good_for_long).course is Course.FORWARD
    assert verdict(good_for_long, latest=counts(60, 60)).course is Course.BACK


@pytest.mark.parametrize(
    ("on_no_data", "course"), [("hold", Course.HOLD), ("advance", Course.FORWARD), ("rollback", Course.BACK)]
)
@pytest.mark.parametrize("requests", [0, 199])
def test_without_enough_requests_the_spec_decides(on_no_data, course, requests):
    policy = Policy(steps=(10, 100), bake=300, min_requests=200, on_no_data=on_no_data, rules=(ERRORS,))
    assert verdict(counts(requests), policy=policy).course is course
    assert verdict(counts(200), policy=policy).course is Course.FORWARD
    assert verdict(counts(requests), policy=policy, baked=False).course is Course.BAKE


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("on_no_data", ["hold", "advance", "rollback"])
def test_no_step_is_taken_on_figures_that_break_a_rule_and_are_too_few_to_go_back_for(last, on_no_data):
    policy = Policy(steps=(10, 100), bake=1, min_requests=20, on_no_data=on_no_data, rules=(ERRORS,))
    held = verdict(counts(25, 25), policy=policy, last=last)
    assert held.course is Course.HOLD
    assert held.reason.endswith("50 requests decide")
    assert verdict(counts(25), policy=policy, last=last).course is Course.FORWARD
    assert verdict(counts(50, 50), policy=policy, last=last).course is Course.BACK


def test_rules_without_a_minimum_still_want_one_request():
    policy = Policy(steps=(10, 100), bake=300, rules=(ERRORS,))
    assert verdict(counts(0), policy=policy).course is Course.HOLD
    assert verdict(counts(1), policy=policy).course is Course.FORWARD


def test_the_last_step_holds_nobody_up():
    assert verdict(counts(3), last=True).course is Course.FORWARD
    strict = Policy(bake=300, min_requests=200, on_no_data="rollback", rules=(ERRORS,))
    assert verdict(counts(3), last=True, policy=strict).course is Course.BACK


def test_one_of_several_is_enough_to_go_back_and_all_are_needed_to_go_on():
    good, bad, few = Sample(counts(500)), Sample(counts(500, 50)), Sample(counts(10))
    assert judge(POLICY, {"a": good, "b": bad}, baked=False, last=False).course is Course.BACK
    assert judge(POLICY, {"a": good, "b": few}, baked=True, last=False).course is Course.HOLD
    assert judge(POLICY, {"a": good, "b": good}, baked=True, last=False).course is Course.FORWARD


@pytest.mark.parametrize(
    ("figures_reach", "now", "baked"),
    [
        (240, 299, False),
        (240, 330, False),  # the bake is over, its figures are not in
        (300, 330, True),
        (0, 389, False),  # a platform that says nothing is waited for as long as figures take
        (0, 390, True),
    ],
)
def test_a_step_has_baked_when_its_figures_are_in(figures_reach, now, baked):
    samples = {"new": Sample(counts(500, seconds=figures_reach))}
    later = START + timedelta(seconds=now)
    assert has_baked(POLICY, samples, START, later, period=60, delay=30) is baked


def test_a_bake_without_any_rule_is_a_matter_of_time_alone():
    policy = Policy(bake=300)
    assert not has_baked(policy, {}, START, START + timedelta(seconds=299), period=60, delay=30)
    assert has_baked(policy, {}, START, START + timedelta(seconds=300), period=60, delay=30)
    assert judge(policy, {}, baked=True, last=False).course is Course.FORWARD


def test_a_policy_is_the_same_after_its_record():
    assert Policy.from_document(POLICY.as_document()) == POLICY
