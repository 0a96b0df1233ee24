from __future__ import annotations

import io
import os
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.runner.streams import Stream
from mlinfra.runner.vault import Masker

if TYPE_CHECKING:
    from mlinfra.runner.metrics import Metric

SECRET = "s3cr3t-value"  # noqa: S105  planted, to be looked for


class Deaf(io.BytesIO):
    """A sink whose reader has gone."""

    def write(self, _content: object) -> int:
        raise BrokenPipeError


def passed_on(pieces: list[bytes], sink: io.BytesIO | None = None) -> tuple[bytes, list[str], list[Metric]]:
    """What a stream makes of output that arrives in pieces."""
    sink = sink or io.BytesIO()
    read, write = os.pipe()
    metrics: list[Metric] = []

    def feed() -> None:
        for piece in pieces:
            os.write(write, piece)
        os.close(write)

    stream = Stream(os.fdopen(read, "rb"), sink, Masker([SECRET]), metrics)
    feeder = Thread(target=feed)
    feeder.start()
    feeder.join()
    stream.wait(20)
    return sink.getvalue(), list(stream.last), metrics


@given(st.lists(st.sampled_from([b"a\n", b"bc", b"\r", b"\n", b"progress 1%\r", b"", b"\xff\n"]), max_size=12))
@settings(max_examples=50, deadline=None)
def test_nothing_is_lost_or_added(pieces: list[bytes]) -> None:
    found, _, _ = passed_on([b"".join(pieces)])
    assert found == b"".join(pieces).replace(b"\r\n", b"\n")


@pytest.mark.parametrize("before", [0, 5, 65_530, 262_140, 262_144, 300_000, 524_280])
def test_a_secret_is_hidden_wherever_the_pieces_end(before: int) -> None:
    secret = SECRET.encode()
    whole = b"x" * before + secret + b"x" * 400_000 + secret
    for cut in (before + 3, before + len(secret), len(whole) - 2):
        found, last, _ = passed_on([whole[:cut], whole[cut:]])
        assert b"s3cr" not in found
        assert b"value" not in found
        assert found.count(b"***") == 2
        assert found.count(b"x") == before + 400_000
        assert "s3cr" not in "".join(last)


def test_the_last_lines_are_remembered_in_bounds() -> None:
    _, last, _ = passed_on([b"".join(b"line %d\n\n" % number for number in range(100)), b"y" * 10_000])
    assert last[-2] == "line 99"
    assert len(last) == 40
    assert len(last[-1]) == 2_000


def test_metrics_are_read_before_secrets_are_hidden() -> None:
    _, _, metrics = passed_on([b"mlinfra-metric name=auc value=0.5\r\n", b"mlinfra-metric name=s3cr3t-value value=1\n"])
    assert [(metric.name, metric.value) for metric in metrics] == [("auc", 0.5), ("s3cr3t-value", 1.0)]


def test_a_command_goes_on_when_nobody_listens() -> None:
    _, last, _ = passed_on([b"a\n" * 100_000, b"end\n"], Deaf())
    assert last[-1] == "end"
