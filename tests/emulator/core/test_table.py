"""Tables: what is written is there at once, what is listed lags."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from mlinfra.emulator.table import Duplicate, Table

if TYPE_CHECKING:
    from mlinfra.emulator.clock import Clock


@pytest.fixture
def lagging(clock: Clock) -> Table[str]:
    return Table(clock, lag=10)


def test_a_record_is_there_at_once_and_listed_after_the_lag(lagging: Table[str], clock: Clock):
    lagging.add("a", "first")
    assert lagging.get("a") == "first"
    assert lagging.values() == ["first"]
    assert lagging.listed() == []
    clock.advance(10)
    assert lagging.listed() == ["first"]


def test_a_removed_record_is_gone_at_once_and_listed_for_the_lag(lagging: Table[str], clock: Clock):
    lagging.add("a", "first")
    clock.advance(20)
    assert lagging.remove("a") == "first"
    assert (lagging.get("a"), len(lagging), "a" in lagging) == (None, 0, False)
    clock.advance(9)
    assert lagging.listed() == ["first"]
    clock.advance(2)
    assert lagging.listed() == []


def test_what_lived_shorter_than_the_lag_is_listed_in_its_time(lagging: Table[str], clock: Clock):
    lagging.add("a", "brief")
    clock.advance(5)
    lagging.remove("a")
    assert lagging.listed() == []
    clock.advance(6)
    assert lagging.listed() == ["brief"]


def test_a_name_taken_again_shows_the_old_record_first(lagging: Table[str], clock: Clock):
    lagging.add("a", "old")
    clock.advance(20)
    lagging.remove("a")
    lagging.add("a", "new")
    clock.advance(5)
    assert lagging.listed() == ["old"]
    clock.advance(6)
    assert lagging.listed() == ["new"]


def test_without_lag_lists_show_what_is_there(clock: Clock):
    table: Table[int] = Table(clock)
    for number in range(5):
        table.add(str(number), number)
    table.remove("2")
    assert table.listed() == table.values() == [0, 1, 3, 4]
    assert list(table) == ["0", "1", "3", "4"]


def test_a_key_is_taken_once(clock: Clock):
    table: Table[int] = Table(clock)
    table.add("a", 1)
    with pytest.raises(Duplicate):
        table.add("a", 2)
    assert table.get("a") == 1


def test_a_changed_record_keeps_its_age(lagging: Table[str], clock: Clock):
    lagging.add("a", "one")
    lagging.add("b", "two")
    clock.advance(10)
    lagging.put("a", "changed")
    lagging.put("c", "three")
    assert lagging.listed() == ["changed", "two"]


def test_of_many_who_want_a_key_one_gets_it(clock: Clock):
    table: Table[int] = Table(clock)
    won = []

    def want(number: int) -> None:
        try:
            table.add("a", number)
        except Duplicate:
            return
        won.append(number)

    threads = [threading.Thread(target=want, args=(number,), daemon=True) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [table.get("a")]
