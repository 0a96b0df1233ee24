"""Rows `one`, `thousand` and `credit`: the same questions to the kit and to its peers, in turn, all servers up."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from servingbench.bench import Median
from servingbench.client import LoadError
from servingbench.figures import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from servingbench.bench import Bench, Running


@dataclass(frozen=True)
class Row:
    """What is asked, over how many connections, and the bars: times less CPU than the best peer, times lower p99."""

    name: str
    case: str
    size: str  # single, many
    connections: int
    cpu: float
    p99: float | None = None


ROWS = {
    "one": (
        Row("one row, 16 connections", "logistic", "single", 16, 30, 5),
        Row("one row, 16 connections", "forest", "single", 16, 400, 5),
        Row("one row, 16 connections", "boosting", "single", 16, 40, 5),
    ),
    "thousand": (
        Row("1,000 rows, 8 connections", "logistic", "many", 8, 3.2),
        Row("1,000 rows, 8 connections", "forest", "many", 8, 6),
        Row("1,000 rows, 8 connections", "boosting", "many", 8, 3.5),
    ),
    "credit": (
        Row("one JSON record, 16 connections", "credit-linear", "single", 16, 20),
        Row("one JSON record, 16 connections", "credit-forest", "single", 16, 20),
    ),
}


def run(bench: Bench, rows: Sequence[Row]) -> None:
    """Measure rows, those of the same case with the same servers."""
    for case in dict.fromkeys(row.case for row in rows):
        with ExitStack() as stack:
            servers = _start(bench, stack, case)
            for row in (row for row in rows if row.case == case):
                _compare(bench, row, servers)


def _start(bench: Bench, stack: ExitStack, case: str) -> list[Running]:
    servers = []
    for contender in bench.contenders:
        try:
            servers.append(stack.enter_context(bench.running(contender, case)))
        except LoadError as exc:
            bench.results.missing[f"{contender.name}, {case}"] = str(exc)
    return servers


def _compare(bench: Bench, row: Row, servers: list[Running]) -> None:
    medians = {running.contender.name: Median() for running in servers}
    messages = {running.contender.name: bench.messages(running.contender, row.case, row.size) for running in servers}
    for _ in range(bench.rounds):
        for running in servers:
            name = running.contender.name
            if name not in medians:
                continue
            try:
                sample = bench.measure(running.server, messages[name], running.contender.read, row.connections)
            except (LoadError, OSError) as exc:
                bench.results.missing[f"{name}, {row.case}, {row.name}"] = str(exc)
                del medians[name]
            else:
                medians[name].samples.append(sample)
    _report(bench, row, medians)


def _report(bench: Bench, row: Row, medians: dict[str, Median]) -> None:
    kit = medians.get("mlinfra")
    peers = {name: median for name, median in medians.items() if name != "mlinfra"}
    title = f"{row.case}: {row.name}"
    columns = (
        "server",
        "CPU µs a request",
        "requests a second",
        "p99 ms",
        "times the kit's CPU",
        "client found nothing",
    )
    lines = [
        (name, m.cpu, m.per_second, m.p99, m.cpu / kit.cpu if kit else 0.0, f"{m.waiting:.0%}")
        for name, m in sorted(medians.items(), key=lambda item: item[1].cpu)
    ]
    bench.results.tables.append(Table(title, columns, lines))
    if kit is None or not peers:
        bench.results.unmeasured(row.name, f"{row.case}: CPU", "nobody to compare with", f"≥ {row.cpu} x")
        return
    best = min(peers, key=lambda name: peers[name].cpu)
    times = peers[best].cpu / kit.cpu
    what = f"{row.case}: CPU a request less than the best peer's ({best})"
    bench.results.at_least(row.name, what, times, row.cpu, "x")
    if row.p99:
        quickest = min(peers, key=lambda name: peers[name].p99)
        what = f"{row.case}: p99 lower than the best peer's ({quickest})"
        bench.results.at_least(row.name, what, peers[quickest].p99 / kit.p99, row.p99, "x")
