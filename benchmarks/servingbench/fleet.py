"""Row `models`: a thousand small models in one server, with less memory allowed than they would take together."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from servingbench.cases import SMALL, questions
from servingbench.client import LoadError, Message, ask, check, closed_loop, encode, quantile
from servingbench.figures import Table
from servingbench.peers import KIT
from servingbench.process import Command, Server

if TYPE_CHECKING:
    from pathlib import Path

    from servingbench.bench import Bench

ROW = "many models"
MODELS = 1000
HOT = 10
LIMIT = 40 << 20  # bytes of memory
MOST_SLOWER = 1.5  # times the p99 of the hot models alone
PAUSE = 0.1  # seconds between two that must be loaded
_JSON = {"content-type": "application/json"}


def run(bench: Bench) -> None:
    """Ask every model once, then the same few while all others are being loaded and dropped behind them."""
    folder = bench.folder / "fleet"
    messages = _packages(bench, folder)
    words = [str(bench.pythons["mlinfra"]), "-m", "mlinfra.serving", "--port", "{port}"]
    words += ["--models", str(folder), "--memory-limit", str(LIMIT)]
    server = Server("mlinfra", Command(words, bench.folder / "run" / "fleet"), bench.core)
    try:
        server.wait(messages[0], KIT.read)
        wrong = _ask_all(server, messages)
        hot = messages[:HOT]
        alone = closed_loop(server.address, hot, KIT.read, connections=4, seconds=bench.seconds)
        before = _loads(server)
        beside = closed_loop(
            server.address, hot, KIT.read, connections=4, seconds=bench.seconds, beside=messages[HOT:], pause=PAUSE
        )
        loads, memory = _loads(server) - before, server.pss()
        flat_out = closed_loop(
            server.address, hot, KIT.read, connections=4, seconds=bench.seconds, beside=messages[HOT:]
        )
    finally:
        server.stop()
    results = bench.results
    results.is_true(ROW, "every one answers", held=not wrong, found=f"{MODELS - wrong:,} of {MODELS:,}", asked="all")
    results.at_most(ROW, "memory (PSS)", memory / 1e6, LIMIT / 1e6, "MB")
    what = "hot p99 while others are loaded, times that alone"
    results.at_most(ROW, what, beside.p99 / alone.p99, MOST_SLOWER, "x")
    lines = [
        ("hot models alone", alone.per_second, alone.p99 * 1e3),
        ("hot models while others are loaded", beside.per_second, beside.p99 * 1e3),
        ("the others", len(beside.aside) / beside.seconds, quantile(beside.aside, 0.99) * 1e3),
        ("hot models while others are loaded one after the other", flat_out.per_second, flat_out.p99 * 1e3),
        ("the others", len(flat_out.aside) / flat_out.seconds, quantile(flat_out.aside, 0.99) * 1e3),
    ]
    note = f"{HOT} hot models of {MODELS:,} over 4 connections, the others over one; {loads} loads in the slower turn."
    results.is_true(ROW, "models had to be loaded meanwhile", held=loads > 0, found=f"{loads}", asked="some")
    results.tables.append(Table("Many models", ("", "requests a second", "p99 ms"), lines, note))


def _packages(bench: Bench, folder: Path) -> list[Message]:
    """Copies of a few different models, each under a name of its own, and a question to each."""
    kinds = [bench.folder / "cases" / f"small-{number}" for number in range(SMALL)]
    asked = [questions(bench.folder / "cases", kind.name)["single"][0] for kind in kinds]
    messages = []
    for number in range(MODELS):
        name, kind = f"model-{number:04}", number % SMALL
        if not (folder / name).exists():
            shutil.copytree(kinds[kind] / "package", folder / name)
        body = json.dumps({"instances": asked[kind]["rows"]}).encode()
        messages.append(Message(encode(f"/v1/models/{name}:predict", body, _JSON), asked[kind]["answers"]))
    return messages


def _loads(server: Server) -> int:
    """Models that it has loaded so far."""
    text = ask(server.address, b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").body.decode()
    return sum(
        int(line.split()[-1]) for line in text.splitlines() if line.startswith("mlinfra_serving_model_loads_total")
    )


def _ask_all(server: Server, messages: list[Message]) -> int:
    """How many did not answer rightly."""
    wrong = 0
    for message in messages:
        try:
            answer = ask(server.address, message.data)
            check(KIT.read(answer.body), message.expected)
        except (LoadError, KeyError, ValueError):
            wrong += 1
    return wrong
