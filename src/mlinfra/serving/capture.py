"""Capture: one JSON line per request, so that any prediction can be asked again and joined with what came true later.

A request pays for putting a reference into a bounded queue and nothing else. A thread of its own turns references
into lines, which a sink takes (`sinks`); what comes too fast, or cannot be written, is dropped and counted.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from mlinfra.serving.sinks import Batches, Folder, Limits, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.serving.exchange import Exchange
    from mlinfra.serving.metrics import Metrics
    from mlinfra.serving.settings import Settings
    from mlinfra.serving.sinks import Sink

_MOST = 10_000  # records waiting for the thread
_MOST_BYTES = 64 << 20  # of their bodies
_PERIOD = 0.25  # seconds between two turns of the thread
_LONGEST_BODY = 64 << 10  # bytes of a body that could not be read as rows


class Capture:
    """Writes records under `<place>/date=YYYY-MM-DD/hour=HH/`, each process into files or objects of its own.

    Raises SpecError where the settings name a place that is none.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._sample = settings.capture_sample
        self._masked = frozenset(settings.capture_exclude)
        self._identity = {"endpoint": settings.endpoint, "deployment": settings.deployment}
        self._metrics = metrics
        self._waiting: deque[tuple[float, Exchange]] = deque()
        self._taken = self._done = 0  # bytes of bodies; each counter has one writer
        self._trouble = Trouble(settings.capture)
        self._sink = _sink(settings, metrics, self._trouble)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        """Begin to write. Call after a fork, since threads do not survive one."""
        self._sink.start()
        self._thread.start()

    def take(self, exchange: Exchange) -> None:
        """Keep a finished exchange, if the sample says so and there is room."""
        if self._sample < 1.0 and random.random() >= self._sample:  # noqa: S311  a sample, no secret
            return
        if len(self._waiting) >= _MOST or self._taken - self._done > _MOST_BYTES:
            self._metrics.add("capture_dropped_total")
            return
        self._taken += len(exchange.request.body)
        self._waiting.append((time.time(), exchange))

    def hurry(self) -> None:
        """The server is told to stop and its grace is short: write what there is while the last answers are given."""
        self._sink.hurry()

    def close(self) -> None:
        """Write what waits, then end. Blocks until it is written, to a store for some seconds at most."""
        self._stopping.set()
        self._thread.join()
        self._sink.close()

    def _run(self) -> None:
        while not self._stopping.wait(_PERIOD):
            self._hand_over()
        self._hand_over()

    def _hand_over(self) -> None:
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._done += sum(len(exchange.request.body) for _, exchange in batch)
        for hour, lines in self._by_hour(batch).items():
            self._sink.add(hour, lines)
        self._sink.turn()

    def _by_hour(self, batch: list[tuple[float, Exchange]]) -> dict[str, list[bytes]]:
        lines: dict[str, list[bytes]] = {}
        for moment, exchange in batch:
            when = datetime.fromtimestamp(moment, UTC)
            try:
                line = orjson.dumps(record_of(exchange, when, self._identity, self._masked), default=str)
            except Exception as exc:  # noqa: BLE001  one odd record must not end the others
                self._trouble.tell(exc)
                self._metrics.add("capture_failed_total")
            else:
                lines.setdefault(when.strftime("date=%Y-%m-%d/hour=%H"), []).append(line)
        return lines


def _sink(settings: Settings, metrics: Metrics, trouble: Trouble) -> Sink:
    if "://" not in settings.capture:
        return Folder(Path(settings.capture), metrics, trouble)
    from mlinfra.serving.stores import open_store  # noqa: PLC0415  its HTTP client is half of a start

    limits = Limits(settings.capture_batch_bytes, settings.capture_batch_seconds, settings.capture_buffer)
    return Batches(open_store(settings.capture, settings.capture_key, os.environ), limits, metrics, trouble)


def record_of(exchange: Exchange, when: datetime, identity: dict[str, str], masked: frozenset[str]) -> dict[str, Any]:
    """The record of one request; cells of masked columns are null and `masked` names them."""
    manifest = exchange.model.manifest
    names = manifest.schema.names if manifest.schema else ()
    hidden = [name for name in names if name in masked]
    record: dict[str, Any] = {
        "id": exchange.request.id.decode("latin-1"),
        "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        **identity,
        "model": exchange.model.name,
        "model_digest": manifest.digest,
        "schema_version": manifest.schema_version,
        "input": None if exchange.rows is None else _input(exchange.rows, names, masked),
        "latency_ms": round(exchange.seconds * 1000, 3),
    }
    if hidden:
        record["masked"] = hidden
    if exchange.refusal is None:
        record["output"] = exchange.predictions
    else:
        record["rejection"] = _rejection(exchange, masked)
    return record


def read(folder: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Every record under a capture folder, by date, hour and file. A line cut short by a crash is left out."""
    for path in sorted(Path(folder).glob("date=*/hour=*/*.jsonl")):
        with path.open("rb") as stream:
            for line in stream:
                if line.endswith(b"\n"):
                    yield orjson.loads(line)


def _input(rows: Any, names: tuple[str, ...], masked: frozenset[str]) -> list[Any]:
    """Rows as the model got them: objects by column, or arrays where no schema names the columns."""
    listed = rows.tolist() if hasattr(rows, "tolist") else rows
    if not names:
        return list(listed)
    cells = ((name, index) for index, name in enumerate(names))
    kept = [(name, None if name in masked else index) for name, index in cells]
    return [{name: None if index is None else row[index] for name, index in kept} for row in listed]


def _rejection(exchange: Exchange, masked: frozenset[str]) -> dict[str, Any]:
    refusal = exchange.refusal
    if refusal is None:
        return {}
    rejection: dict[str, Any] = {"status": refusal.status, "code": refusal.code}
    if not masked:
        # words and body may repeat any cell, so neither is kept where a column must not be
        rejection["message"] = refusal.message
        rejection["body"] = exchange.request.body[:_LONGEST_BODY].decode("utf-8", "replace")
    if refusal.rows:
        rejection["rows"] = [_hidden(cell, masked) for cell in refusal.rows]
    return rejection


def _hidden(cell: dict[str, Any], masked: frozenset[str]) -> dict[str, Any]:
    """A refused cell without its value, where that may show a masked column; a whole row may show any."""
    if masked and (cell["column"] is None or cell["column"] in masked):
        return {**cell, "value": None}
    return cell
