"""The clock and the delays of states."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.emulator.clock import Clock
from mlinfra.emulator.delays import Delays, Passage, Stages

WALK = Stages(("Starting", 2.0), ("Downloading", 1.0), ("Training", 5.0))


def test_time_runs_as_fast_as_it_is_told_to():
    clock = Clock(1000)
    begin, real = clock.monotonic(), time.monotonic()
    clock.sleep(50)
    assert clock.monotonic() - begin >= 50
    assert time.monotonic() - real < 5


def test_moments_and_seconds_agree(clock: Clock):
    moment, second = clock.now(), clock.monotonic()
    clock.advance(90)
    assert (clock.now() - moment).total_seconds() == pytest.approx(90, abs=0.01)
    assert clock.monotonic() - second == pytest.approx(90, abs=0.01)
    assert clock.now().tzinfo is not None
    assert clock.ahead().total_seconds() == pytest.approx(90, abs=1)


def test_a_jump_wakes_whoever_sleeps_until_then(clock: Clock):
    woken = []
    sleepers = [threading.Thread(target=lambda s=s: woken.append((clock.sleep(s), s)), daemon=True) for s in (60, 3600)]
    for sleeper in sleepers:
        sleeper.start()
    clock.advance(61)
    sleepers[0].join(5)
    assert woken == [(True, 60)]
    clock.advance(3600)
    sleepers[1].join(5)
    assert woken == [(True, 60), (True, 3600)]


def test_a_sleep_ends_when_it_is_told_to(clock: Clock):
    stop = threading.Event()
    ended = []
    sleeper = threading.Thread(target=lambda: ended.append(clock.sleep(3600, stop)), daemon=True)
    sleeper.start()
    stop.set()
    sleeper.join(5)
    assert ended == [False]


@pytest.mark.parametrize("make", [lambda: Clock(0), lambda: Clock(-1), lambda: Clock().advance(-1)])
def test_time_neither_stands_nor_goes_back(make):
    with pytest.raises(ValueError, match=r"above 0|go back"):
        make()


def test_a_delay_is_stretched_and_must_be_known():
    delays = Delays({"training.Starting": 4.0}, scale=0.5)
    assert delays.seconds("training.Starting") == 2.0
    with pytest.raises(KeyError):
        delays.seconds("training.Starting ")


@pytest.mark.parametrize(
    ("elapsed", "state"),
    [(0, "Starting"), (1.99, "Starting"), (2, "Downloading"), (3, "Training"), (8, "Training"), (1e9, "Training")],
)
def test_the_state_follows_from_the_time(elapsed: float, state: str):
    assert WALK.at(elapsed) == state


def test_the_way_so_far_is_told_with_its_times():
    assert WALK.passed(2.5) == [Passage("Starting", 0, 2), Passage("Downloading", 2, None)]
    assert WALK.passed(100)[-1] == Passage("Training", 3, None)
    assert (WALK.total, WALK.begin("Training")) == (8, 3)
    with pytest.raises(KeyError):
        WALK.begin("Uploading")


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6), st.floats(0, 1000), st.floats(0, 1000))
def test_no_state_is_left_out_and_none_comes_again(lengths: list[float], one: float, other: float):
    stages = Stages(*((str(number), length) for number, length in enumerate(lengths)))
    earlier, later = sorted([one, other])
    assert int(stages.at(earlier)) <= int(stages.at(later))
    assert [int(each.name) for each in stages.passed(later)] == list(range(int(stages.at(later)) + 1))
