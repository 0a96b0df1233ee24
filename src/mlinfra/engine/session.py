"""What the engine's verbs work with: one environment, its adapter, a client, and the engine's own records."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlinfra.contract import adapter as adapters
from mlinfra.engine.clock import Clock
from mlinfra.engine.emulated import check_emulator
from mlinfra.engine.folders import Folders
from mlinfra.engine.journal import Journal
from mlinfra.engine.pacer import Pacer
from mlinfra.engine.pauses import patiently
from mlinfra.engine.stores import PatientStore
from mlinfra.errors import WrongAccount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlinfra.contract.adapter import Adapter, Caller, Client
    from mlinfra.contract.store import Store
    from mlinfra.environment import Environment


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  the default for Python callers; the command line brings its own


@dataclass(frozen=True)
class Session:
    """Everything a verb needs. `say` tells people of progress and never writes to stdout.

    `verify_account` compares the caller's account with the environment's once, before the first effect.
    """

    environment: Environment
    adapter: Adapter
    client: Client
    folders: Folders
    journal: Journal
    pacer: Pacer
    clock: Clock = field(default_factory=Clock)
    say: Callable[[str], None] = _to_stderr
    _caller: list[Caller] = field(default_factory=list, repr=False)

    @property
    def caller(self) -> Caller:
        """Who we are on this platform; asked until there is an answer, which holds for the session.

        Raises:
            WrongAccount: the credentials at hand belong elsewhere.
            TemporaryError: no answer after all tries.
        """
        if not self._caller:
            caller = patiently(self.client.caller, self.clock, self.say)
            self._check(caller)
            self._caller.append(caller)
        return self._caller[0]

    def store(self, name: str = "artefacts") -> Store:
        """One of the environment's object stores, patient with what fails for the time being.

        Raises:
            NotFound: the environment names no such store.
        """
        return PatientStore(self.client.store(name), self.clock, self.say)

    def verify_account(self) -> None:
        """Make sure that effects would land where the environment says.

        Raises:
            WrongAccount: the credentials at hand belong elsewhere. Nothing was sent.
        """
        _ = self.caller

    def _check(self, caller: Caller) -> None:
        expected = self.environment.account
        if expected and caller.account != expected:
            raise WrongAccount(
                f"the credentials at hand belong to account {caller.account}; nothing was sent",
                given=f"{caller.principal} in {caller.account}",
                allowed=f"account {expected}, the one of environment {self.environment.name}",
                todo="log in to that account, or choose another environment with -e",
            )


@contextmanager
def open_session(
    environment: Environment,
    *,
    folders: Folders | None = None,
    clock: Clock | None = None,
    say: Callable[[str], None] | None = None,
) -> Iterator[Session]:
    """A session for one command. Connects, sends nothing, and lets go of the connection at the end.

    Raises:
        CapabilityError: the platform's SDK is not installed.
        NotFound: no adapter for the environment's platform.
        Unavailable: the environment is emulated, and its emulator does not run.
    """
    folders = folders or Folders.find()
    if environment.emulated:
        check_emulator(environment)
        folders = folders.for_emulated(environment.name)
    folders.ensure()
    adapter = adapters.load(environment.platform)
    clock = clock or Clock()
    say = say or _to_stderr
    journal = Journal(folders.journal)
    if journal.set_aside:
        say(f"the journal was torn and set aside as {journal.set_aside}; nothing is lost but time")
    client = adapter.connect(environment)
    try:
        yield Session(
            environment=environment,
            adapter=adapter,
            client=client,
            folders=folders,
            journal=journal,
            pacer=Pacer(folders.pace(environment.id), adapter.config.QUOTAS, clock),
            clock=clock,
            say=say,
        )
    finally:
        client.close()
