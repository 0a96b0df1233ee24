"""What every row of the table needs: where things lie, which cores are whose, how long to measure."""

from __future__ import annotations

import statistics
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from servingbench.cases import CASES, questions
from servingbench.client import Outcome, closed_loop
from servingbench.figures import Results
from servingbench.peers import KIT, PEERS, SCRIPTS, Contender, Setting, kit_command
from servingbench.process import Command, Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from servingbench.client import Message


@dataclass
class Bench:
    """One run of the benchmark."""

    folder: Path  # scratch, with the cases in `cases`
    pythons: dict[str, Path]  # by contender
    cores: list[int]  # that the benchmark may use
    rounds: int
    seconds: float  # of one measurement
    overload: float  # seconds
    results: Results = field(default_factory=Results)

    @property
    def core(self) -> int:
        """The servers'; the client has another."""
        return self.cores[0]

    @property
    def contenders(self) -> list[Contender]:
        """The kit and its peers, as far as they could be installed."""
        return [KIT, *(peer for name, peer in PEERS.items() if name in self.pythons)]

    def setting(self, contender: Contender, case: str) -> Setting:
        """Where a contender finds a case."""
        folder = self.folder / "run" / f"{contender.name}-{case}"
        return Setting(self.pythons[contender.name], folder, CASES[case], self.folder / "cases" / case)

    def messages(self, contender: Contender, case: str, size: str) -> list[Message]:
        """The requests of a case, `single` or `many` rows each, in a contender's dialect."""
        found = questions(self.folder / "cases", case)[size]
        return [contender.message(CASES[case], question) for question in found]

    @contextmanager
    def running(self, contender: Contender, case: str) -> Iterator[Running]:
        """A contender that serves a case, ready. Raises LoadError."""
        server = Server(contender.name, contender.command(self.setting(contender, case)), self.core)
        try:
            first = self.messages(contender, case, "single")[0]
            seconds = server.wait(first, contender.read)
            yield Running(contender, server, seconds)
        finally:
            server.stop()

    @contextmanager
    def kit(self, case: str, *options: str, core: int | None = -1) -> Iterator[Server]:
        """The kit's own server over a case, with options; `core` None leaves it all cores."""
        setting = self.setting(KIT, case)
        server = Server("mlinfra", kit_command(setting, *options), self.core if core == -1 else core)
        try:
            server.wait(self.messages(KIT, case, "single")[0], KIT.read)
            yield server
        finally:
            server.stop()

    @contextmanager
    def script(self, name: str, *words: str) -> Iterator[Server]:
        """A script of this package in the kit's environment, given its port first."""
        folder = self.folder / "run" / name
        command = Command([str(self.pythons["mlinfra"]), str(SCRIPTS / f"{name}.py"), "{port}", *words], folder)
        server = Server(name, command, self.core)
        try:
            yield server
        finally:
            server.stop()

    def measure(self, server: Server, messages: Sequence[Message], read: Any, connections: int) -> Sample:
        """One measurement: CPU per request in microseconds, and what the client saw."""
        before = server.cpu()
        outcome = closed_loop(server.address, messages, read, connections=connections, seconds=self.seconds)
        return Sample((server.cpu() - before) / outcome.requests * 1e6, outcome)


@dataclass(frozen=True)
class Running:
    """A contender at work."""

    contender: Contender
    server: Server
    ready: float  # seconds from its start to its first right answer


@dataclass(frozen=True)
class Sample:
    """CPU of the server's process tree per request, in microseconds, and the client's side of it."""

    cpu: float
    outcome: Outcome


@dataclass
class Median:
    """The medians over the rounds."""

    samples: list[Sample] = field(default_factory=list)

    @property
    def cpu(self) -> float:
        """CPU per request, microseconds."""
        return statistics.median(sample.cpu for sample in self.samples)

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return statistics.median(sample.outcome.per_second for sample in self.samples)

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return statistics.median(sample.outcome.p99 for sample in self.samples) * 1e3

    @property
    def waiting(self) -> float:
        """Share of the client's looks that found no answer yet: near 0, the client was the bottleneck."""
        return statistics.median(sample.outcome.waiting for sample in self.samples)
