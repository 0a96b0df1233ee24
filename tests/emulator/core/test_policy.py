"""The one evaluator of permissions."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.emulator.conditions import hold
from mlinfra.emulator.patterns import matches
from mlinfra.emulator.policy import Policy, Statement

letters = st.text("ab:/", max_size=5)
pattern_texts = st.text("ab:/*?", max_size=5)
patterns = st.lists(pattern_texts, max_size=3).map(tuple)
statements = st.builds(
    Statement,
    effect=st.sampled_from(["allow", "deny"]),
    actions=st.lists(pattern_texts, min_size=1, max_size=3).map(tuple),
    resources=st.lists(pattern_texts, min_size=1, max_size=2).map(tuple),
    not_actions=patterns,
    conditions=st.sampled_from([{}, {"Bool": {"mfa": "true"}}, {"StringLike": {"who": ["a*", "b"]}}]),
)
contexts = st.sampled_from([{}, {"mfa": True}, {"mfa": False, "who": "ab"}, {"who": "c"}])


def naive_match(pattern: str, text: str) -> bool:
    """Letter by letter, as one would explain it."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return naive_match(pattern[1:], text) or (bool(text) and naive_match(pattern, text[1:]))
    return bool(text) and pattern[0] in {"?", text[0]} and naive_match(pattern[1:], text[1:])


def naive_hold(conditions: dict[str, Any], context: dict[str, Any]) -> bool:
    if "Bool" in conditions:
        return context.get("mfa") is True
    if "StringLike" in conditions:
        return str(context.get("who", "")).startswith("a") or context.get("who") == "b"
    return True


def naive_decide(policies: list[list[Statement]], action: str, resource: str, context: dict[str, Any]) -> str:
    effects = [
        each.effect
        for statements_ in policies
        for each in statements_
        if any(naive_match(one.lower(), action.lower()) for one in each.actions)
        and not any(naive_match(one.lower(), action.lower()) for one in each.not_actions)
        and any(naive_match(one, resource) for one in each.resources)
        and naive_hold(dict(each.conditions), context)
    ]
    return "deny" if "deny" in effects or not effects else "allow"


@given(pattern_texts, letters)
def test_patterns_match_as_a_naive_reader_would(pattern: str, text: str):
    assert matches(pattern, text) == naive_match(pattern, text)


@given(st.text(max_size=8))
def test_no_other_character_is_special(text: str):
    plain = re.sub(r"[*?]", "", text)
    assert matches(plain, plain)
    assert not matches(f"{plain}[a]", f"{plain}a")


@given(st.lists(st.lists(statements, max_size=3), max_size=3), letters, letters, contexts)
def test_decisions_are_those_of_a_naive_evaluator(policies: list[list[Statement]], action: str, resource: str, context):
    policy = Policy()
    policy.put("me", "none", [])
    for number, held in enumerate(policies):
        policy.put("me", str(number), held)
    decision = policy.decide("me", action, resource, context)
    assert decision.allowed == (naive_decide(policies, action, resource, context) == "allow"), decision.because


@given(statements, letters, letters, contexts)
def test_a_denial_outweighs_everything(denial: Statement, action: str, resource: str, context):
    policy = Policy()
    policy.put("me", "everything", [Statement("allow", ("*",))])
    policy.put("me", "but", [Statement("deny", denial.actions, denial.resources)])
    decision = policy.decide("me", action, resource, context)
    assert decision.allowed != Statement("deny", denial.actions, denial.resources).applies(action, resource, context)
    assert decision.denied != decision.allowed


def test_what_nobody_allows_is_refused_with_the_reason():
    policy = Policy()
    policy.put("me", "reading", [Statement("allow", ("s3:Get*",), ("arn:aws:s3:::data/*",))])
    assert policy.decide("me", "S3:GETOBJECT", "arn:aws:s3:::data/a/b").because == "policy reading allows it"
    assert policy.decide("me", "s3:PutObject", "arn:aws:s3:::data/a").because == "no policy allows it"
    assert policy.decide("me", "s3:GetObject", "arn:aws:s3:::DATA/a").allowed is False
    assert policy.decide("you", "s3:GetObject", "arn:aws:s3:::data/a").because == "nothing is known of you"


def test_all_but_some_actions_and_resources():
    policy = Policy()
    policy.put("me", "most", [Statement("allow", not_actions=("iam:*",), not_resources=("secret/*",))])
    assert policy.decide("me", "s3:Get", "open/a").allowed
    assert not policy.decide("me", "iam:Get", "open/a").allowed
    assert not policy.decide("me", "s3:Get", "secret/a").allowed


def test_a_policy_is_replaced_and_removed_by_name():
    policy = Policy()
    policy.put("me", "one", [Statement("allow", ("a",))])
    policy.put("me", "one", [Statement("allow", ("b",))])
    assert not policy.decide("me", "a", "x").allowed
    assert policy.decide("me", "b", "x").allowed
    policy.remove("me", "one")
    policy.remove("me", "one")
    assert not policy.decide("me", "b", "x").allowed
    assert policy.principals() == ["me"]
    policy.remove("me")
    assert policy.principals() == []


def test_one_permission_is_missing_for_a_while():
    policy = Policy()
    policy.put("me", "all", [Statement("allow", ("*",))])
    with policy.without("me", "sagemaker:Create*"):
        decision = policy.decide("me", "sagemaker:CreateModel", "x")
        assert (decision.allowed, decision.denied) == (False, False)
        assert policy.decide("me", "sagemaker:DescribeModel", "x").allowed
        assert not policy.decide("you", "sagemaker:DescribeModel", "x").allowed
    assert policy.decide("me", "sagemaker:CreateModel", "x").allowed


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"effect": "permit", "actions": ("a",)}, "allow or deny"),
        ({"effect": "allow"}, "actions or not_actions"),
        ({"effect": "allow", "actions": ("a",), "conditions": {"StringEqual": {}}}, "StringEqual;"),
    ],
)
def test_a_statement_that_means_nothing_is_refused(wrong: dict[str, Any], told: str):
    with pytest.raises(ValueError, match=told):
        Statement(**wrong)


@pytest.mark.parametrize(
    ("conditions", "context", "met"),
    [
        ({"StringEquals": {"a": "x"}}, {"a": "x"}, True),
        ({"StringEquals": {"A": ["y", "x"]}}, {"a": "x"}, True),
        ({"StringEquals": {"a": "X"}}, {"a": "x"}, False),
        ({"StringEquals": {"a": "x"}}, {}, False),
        ({"StringEqualsIfExists": {"a": "x"}}, {}, True),
        ({"StringEqualsIfExists": {"a": "x"}}, {"a": "y"}, False),
        ({"StringEqualsIgnoreCase": {"a": "X"}}, {"a": "x"}, True),
        ({"StringNotEquals": {"a": ["x", "y"]}}, {"a": "y"}, False),
        ({"StringNotEquals": {"a": "x"}}, {}, True),
        ({"StringLike": {"a": "arn:*:role/k?t"}}, {"a": "arn:aws:role/kit"}, True),
        ({"StringNotLike": {"a": "x*"}}, {"a": "xy"}, False),
        ({"ArnLike": {"a": "arn:aws:*"}}, {"a": "arn:aws:s3:::b"}, True),
        ({"Bool": {"secure": "true"}}, {"secure": True}, True),
        ({"Bool": {"secure": True}}, {"secure": "true"}, True),
        ({"Bool": {"secure": "true"}}, {"secure": False}, False),
        ({"IpAddress": {"ip": "10.0.0.0/8"}}, {"ip": "10.2.3.4"}, True),
        ({"IpAddress": {"ip": ["192.0.2.1", "::1"]}}, {"ip": "::1"}, True),
        ({"NotIpAddress": {"ip": "10.0.0.0/8"}}, {"ip": "10.2.3.4"}, False),
        ({"IpAddress": {"ip": "10.0.0.0/8"}}, {"ip": "nowhere"}, False),
        ({"NumericLessThanEquals": {"n": "5"}}, {"n": 5}, True),
        ({"NumericGreaterThan": {"n": 5}}, {"n": 5}, False),
        ({"NumericEquals": {"n": 5}}, {"n": "five"}, False),
        ({"Null": {"a": "true"}}, {}, True),
        ({"Null": {"a": "false"}}, {}, False),
        ({"ForAllValues:StringEquals": {"keys": ["a", "b"]}}, {"keys": ["a"]}, True),
        ({"ForAllValues:StringEquals": {"keys": ["a", "b"]}}, {"keys": ["a", "c"]}, False),
        ({"ForAllValues:StringEquals": {"keys": ["a", "b"]}}, {}, True),
        ({"ForAnyValue:StringEquals": {"keys": ["a", "b"]}}, {"keys": ["a", "c"]}, True),
        ({"ForAnyValue:StringEquals": {"keys": ["a", "b"]}}, {"keys": ["c"]}, False),
        ({"ForAnyValue:StringNotEquals": {"keys": ["a"]}}, {}, False),
        ({"StringEquals": {"a": "x"}, "Bool": {"secure": "true"}}, {"a": "x", "secure": False}, False),
        ({"StringEquals": {"a": "x", "b": "y"}}, {"a": "x", "b": "y"}, True),
    ],
)
def test_conditions_hold_as_their_reference_says(conditions: dict[str, Any], context: dict[str, Any], *, met: bool):
    assert hold(conditions, context) is met
