"""Series of measured values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.emulator.clock import Clock
from mlinfra.emulator.metrics import Series

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
A, B = {"endpoint": "e", "variant": "a"}, {"endpoint": "e", "variant": "b"}


@pytest.fixture
def series(clock: Clock) -> Series:
    return Series(clock)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_periods_are_aligned_to_the_clock(series: Series):
    for second in (0, 59.9, 60, 125):
        series.add("latency", A, second, at(second))
    buckets = series.query("latency", A, at(30), at(180), 60)
    assert [(bucket.start, bucket.count) for bucket in buckets] == [(at(0), 2), (at(60), 1), (at(120), 1)]
    assert [bucket.start for bucket in series.query("latency", A, at(0), at(180), 300)] == [at(0)]


def test_the_end_is_left_out_and_empty_periods_too(series: Series):
    series.add("latency", A, 1, at(0))
    series.add("latency", A, 1, at(120))
    assert [bucket.start for bucket in series.query("latency", A, at(0), at(120), 60)] == [at(0)]
    assert len(series.query("latency", A, at(0), at(121), 60)) == 2


def test_a_bucket_tells_all_that_monitors_ask(series: Series):
    for value in (4, 1, 3, 2):
        series.add("latency", A, value, at(0), "ms")
    (bucket,) = series.query("latency", A, at(0), at(60), 60)
    assert (bucket.count, bucket.total, bucket.average, bucket.smallest, bucket.largest) == (4, 10, 2.5, 1, 4)
    assert (bucket.percentile(0), bucket.percentile(50), bucket.percentile(100)) == (1, 2.5, 4)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(0, 100))
def test_percentiles_are_those_of_linear_interpolation(values: list[float], p: float):
    series = Series(Clock())
    for value in values:
        series.add("x", {}, value, NOON)
    (bucket,) = series.query("x", {}, NOON, at(1), 1)
    assert bucket.percentile(p) == pytest.approx(float(np.percentile(values, p)), rel=1e-9, abs=1e-6)


def test_a_value_is_visible_after_the_delay(clock: Clock):
    series = Series(clock, delay=60)
    series.add("latency", A, 1, at(0))
    assert series.query("latency", A, at(0), at(60), 60) == []
    assert series.known() == []
    clock.advance(61)
    assert len(series.query("latency", A, at(0), at(60), 60)) == 1


def test_dimensions_are_exact_or_taken_together(series: Series):
    series.add("calls", A, 1, at(0))
    series.add("calls", B, 2, at(0))
    series.add("other", B, 9, at(0))
    series.add("calls", {"endpoint": "f", "variant": "a"}, 9, at(0))
    assert series.query("calls", {"endpoint": "e"}, at(0), at(60), 60) == []
    (both,) = series.query("calls", {"endpoint": "e"}, at(0), at(60), 60, exact=False)
    assert both.total == 3
    assert [bucket.total for bucket in series.query("calls", B, at(0), at(60), 60)] == [2]


def test_known_series_are_found_by_name_and_dimensions(series: Series):
    series.add("calls", A, 1, unit="Count")
    series.add("calls", B, 1)
    assert [metric.dimensions for metric in series.known("calls", {"variant": "a"})] == [A]
    assert series.known("calls", A)[0].unit == "Count"
    assert series.known("none") == []
    series.clear()
    assert series.known() == []


def test_without_a_moment_a_value_is_of_now(series: Series, clock: Clock):
    clock.advance(1000)
    series.add("calls", A, 1)
    now = clock.now()
    (bucket,) = series.query("calls", A, now - timedelta(seconds=5), now + timedelta(seconds=5), 1)
    assert abs((bucket.start - now).total_seconds()) < 2


def test_a_period_lasts_a_second_at_least(series: Series):
    with pytest.raises(ValueError, match="one second"):
        series.query("calls", A, at(0), at(1), 0)
