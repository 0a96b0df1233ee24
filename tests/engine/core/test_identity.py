from __future__ import annotations

from dataclasses import replace

import pytest

from mlinfra.engine.identity import ID_DIGITS, Work

WORK = Work(
    spec={"name": "a", "params": {"x": 1, "y": 2}}, code="sha256:1", inputs={"train": "sha256:2"}, environment="e"
)


def test_the_id_has_forty_hex_digits_and_is_stable_over_releases():
    assert len(WORK.id) == ID_DIGITS
    assert WORK.id == "59ca64d530d4300b2f7534b291d5f33fd42fbb4c"


def test_the_order_of_keys_does_not_matter():
    assert replace(WORK, spec={"params": {"y": 2, "x": 1}, "name": "a"}).id == WORK.id


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"name": "a", "params": {"x": 1, "y": 3}}},
        {"code": "sha256:3"},
        {"inputs": {"train": "sha256:4"}},
        {"inputs": {"test": "sha256:2"}},
        {"environment": "f"},
        {"occasion": "again"},
        {"schemas": {"model": {"inputs": {"a": {}, "b": {}}}}},
    ],
)
def test_whatever_could_change_the_outcome_changes_the_id(change: dict[str, object]):
    assert replace(WORK, **change).id != WORK.id


def test_the_order_of_a_schemas_columns_means_something():
    one, other = ({"model": {"inputs": {name: {} for name in names}}} for names in ("ab", "ba"))
    assert replace(WORK, schemas=one).id != replace(WORK, schemas=other).id
