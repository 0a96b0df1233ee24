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
