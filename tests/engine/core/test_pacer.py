from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mlinfra.contract.adapter import Rate
from mlinfra.engine.pacer import Pacer

if TYPE_CHECKING:
    from pathlib import Path


class StandingClock:
    """Time that moves only by sleeping."""

    def __init__(self) -> None:
        self.elapsed = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    def sleep(self, seconds: float) -> None:
        self.elapsed += seconds


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


def pacer(path: Path, clock: StandingClock, *, per_second: float = 1.0, burst: int = 1) -> Pacer:
    return Pacer(path / "pace.db", {"create": Rate(per_second, burst)}, clock)


def test_calls_keep_below_the_rate(tmp_path: Path, clock: StandingClock):
    paced = pacer(tmp_path, clock)
    for _ in range(100):
        paced.acquire("create")
    assert 99 <= clock.elapsed <= 99 * 1.10


def test_a_burst_goes_at_once(tmp_path: Path, clock: StandingClock):
    paced = pacer(tmp_path, clock, burst=10)
    for _ in range(10):
        paced.acquire("create")
    assert clock.elapsed < 0.001
    paced.acquire("create")
    assert clock.elapsed > 0.9


def test_two_clients_share_a_quota(tmp_path: Path, clock: StandingClock):
    one, two = pacer(tmp_path, clock), pacer(tmp_path, clock)
    for _ in range(50):
        one.acquire("create")
        two.acquire("create")
    assert 99 <= clock.elapsed <= 99 * 1.10


def test_a_throttled_quota_pauses_everybody_and_no_other_quota(tmp_path: Path, clock: StandingClock):
    paced = Pacer(tmp_path / "pace.db", {"create": Rate(10), "list": Rate(10)}, clock)
    paced.penalise("create", 7)
    paced.acquire("list")
    assert clock.elapsed == 0
    paced.acquire("create")
    assert clock.elapsed >= 7


def test_an_unknown_quota_is_not_paced(tmp_path: Path, clock: StandingClock):
    assert pacer(tmp_path, clock).acquire("something else") == 0


def test_a_torn_bucket_is_begun_anew(tmp_path: Path, clock: StandingClock):
    (tmp_path / "pace.db").write_bytes(b"not a database" * 100)
    assert pacer(tmp_path, clock).acquire("create") == 0
