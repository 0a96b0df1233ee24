from __future__ import annotations

from typing import Any

import pytest

from mlinfra.contract.schema import problems

ONE_OF = {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "atMostOneOf": [["a", "b"]]}


def told(value: dict[str, Any]) -> list[str]:
    return [f"{problem.what}: {problem.given} in {problem.path}" for problem in problems(ONE_OF, value, "body")]


@pytest.mark.parametrize("value", [{}, {"a": 1}, {"b": 1, "c": 2}])
def test_one_member_of_a_group_may_be_given_or_none(value: dict[str, Any]):
    assert told(value) == []


def test_two_members_of_a_group_exclude_each_other():
    assert told({"b": 1, "a": 2, "c": 3}) == ["exclude each other: a, b in body"]


KINDS = {
    "anyOf": [
        {
            "type": "object",
            "properties": {"kind": {"type": "string", "enum": [word]}, word: {"type": "integer"}},
            "required": ["kind"],
            "additionalProperties": False,
        }
        for word in ("circle", "square")
    ]
}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"kind": "circle", "circle": 1}, []),
        ({"kind": "square", "circle": 1}, ["no such member: circle in body.circle"]),
        ({"kind": "squar"}, ["no such value: squar in body.kind"]),
        ({}, ["missing:  in body.kind"]),
    ],
)
def test_of_several_kinds_the_one_that_is_named_counts(value: dict[str, Any], words: list[str]):
    found = [f"{each.what}: {each.given} in {each.path}" for each in problems(KINDS, value, "body")]
    assert found == words
