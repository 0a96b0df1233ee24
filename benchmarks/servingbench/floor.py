"""Row `floor`: the kit with checks and capture at 10 %, beside its own HTTP layer with an empty handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from servingbench.bench import Median
from servingbench.client import Message
from servingbench.figures import Table
from servingbench.peers import KIT

if TYPE_CHECKING:
    from servingbench.bench import Bench

ROW = "empty handler"
LIMITS = {"logistic": 15.0, "forest": 40.0, "boosting": 40.0}  # microseconds
CONNECTIONS = 16


def run(bench: Bench) -> None:
    """Measure every model in turn with the empty handler."""
    lines = []
    for case, limit in LIMITS.items():
        messages = bench.messages(KIT, case, "single")
        nothing = [Message(message.data, [1]) for message in messages]
        capture = bench.folder / "capture" / case
        whole, empty = Median(), Median()
        options = ("--capture", str(capture), "--capture-sample", "0.1")
        with bench.kit(case, *options) as server, bench.script("empty_server") as bare:
            bare.wait(nothing[0], KIT.read)
            for _ in range(bench.rounds):
                whole.samples.append(bench.measure(server, messages, KIT.read, CONNECTIONS))
                empty.samples.append(bench.measure(bare, nothing, KIT.read, CONNECTIONS))
        lines.append((case, whole.cpu, empty.cpu, whole.cpu - empty.cpu))
        bench.results.at_most(ROW, f"{case}: CPU above it", whole.cpu - empty.cpu, limit, "µs")
    columns = ("model", "CPU µs a request", "empty handler", "difference")
    note = "Schema checks on, capture of one request in ten, one row a request, 16 connections."
    bench.results.tables.append(Table("Beside an empty handler", columns, lines, note))
