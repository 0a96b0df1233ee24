"""The grammar of list filters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from types import SimpleNamespace

import pytest

from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.gcp import filters, listing

START = datetime(2026, 1, 1, tzinfo=UTC)


class State(Enum):
    RUNNING = 1
    FAILED = 2


ELEMENTS = [
    SimpleNamespace(
        name=f"projects/p/things/{number}",
        display_name=name,
        state=state,
        labels=labels,
        create_time=START + timedelta(days=number),
        end_time=None,
    )
    for number, (name, state, labels) in enumerate(
        [
            ("alpha", State.RUNNING, {"team": "risk", "mlinfra_id": "aa"}),
            ("beta", State.FAILED, {"team": "risk"}),
            ("my job", State.FAILED, {"a key": "x"}),
        ]
    )
]
FIELDS = {
    "thing": filters.own_id(),
    "display_name": filters.text("display_name", "=", "!=", ":"),
    "state": filters.state(),
    "create_time": filters.time("create_time"),
    "end_time": filters.time("end_time"),
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "012"),
        ('labels.mlinfra_id="aa"', "0"),
        ("labels.team=risk", "01"),
        ("labels.team:*", "01"),
        ("labels:team", "01"),
        ('labels."a key"="x"', "2"),
        ('labels.team!="risk"', "2"),
        ('display_name="my job"', "2"),
        ('displayName="beta"', "1"),
        ('display_name:"*a"', "01"),
        ("thing=2", "2"),
        ('state="FAILED" AND labels.team="risk"', "1"),
        ('state="FAILED" labels.team="risk"', "1"),
        ('display_name="alpha" OR display_name="beta"', "01"),
        ('labels.team=risk AND display_name="beta" OR display_name="my job"', "1"),  # OR binds closer
        ('(labels.team=risk AND display_name="alpha") OR display_name="my job"', "02"),
        ('NOT state="FAILED"', "0"),
        ('create_time>"2026-01-01T00:00:00Z"', "12"),
        ('create_time<="2026-01-02T01:00:00+01:00"', "01"),
        ('end_time<"2030-01-01T00:00:00Z"', ""),
        (r'display_name="al\"pha"', ""),
    ],
)
def test_a_filter_lets_through_what_it_says(text, found):
    assert "".join(each.name[-1] for each in filters.matching(text, ELEMENTS, FIELDS)) == found


@pytest.mark.parametrize(
    "text",
    [
        "labels.team",
        "labels.team=",
        'owner="x"',
        "state<RUNNING",
        '(state="FAILED"',
        'state="FAILED")',
        'create_time>"yesterday"',
        'display_name~"x"',
        "AND",
        'labels.team>"a"',
    ],
)
def test_what_cannot_be_read_is_refused(text):
    with pytest.raises(Refusal, match="filter"):
        filters.matching(text, ELEMENTS, FIELDS)


def test_orders_go_up_but_where_desc_follows():
    def order(text: str) -> str:
        return "".join(each.name[-1] for each in listing.ordered(ELEMENTS, text, ("display_name", "create_time")))

    assert [order(text) for text in ("", "display_name desc", "create_time desc, displayName")] == ["012", "210", "210"]
    with pytest.raises(Refusal, match="order"):
        order("state")
