"""What goes on beside the calls for all endpoints of an emulator: lines carried, leases renewed, all ended at last."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from mlinfra.errors import MlinfraError, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlinfra.emulator.hosting.hosting import Hosting

_log = logging.getLogger(__name__)

_PAUSE = 0.5  # real s between two rounds
_RENEWAL = 120.0  # real s between two renewals of a lease
_PAGE = 1000
_STOPPING = 4.0  # real s in which servers end when the emulator stops; then they are killed


class Hosted(Protocol):
    """An endpoint of any cloud."""

    hosting: Hosting

    def close(self) -> None:
        """Take no more requests and end the servers."""


E = TypeVar("E", bound=Hosted)


class Attendant(ABC, Generic[E]):
    """One thread for all endpoints, from the first one on. It ends when `stop` is set."""

    def __init__(self, endpoints: Callable[[], list[E]], stop: threading.Event) -> None:
        self._all = endpoints
        self._stop = stop
        self._carrying = threading.Lock()
        self._tokens: WeakKeyDictionary[E, str] = WeakKeyDictionary()
        self._renewed: WeakKeyDictionary[E, float] = WeakKeyDictionary()
        self._thread = threading.Thread(target=self._run, name="endpoints", daemon=True)

    @abstractmethod
    def round(self) -> None:
        """Do what is to be done twice a second; `attend` for each endpoint is part of it."""

    @abstractmethod
    def keep(self, endpoint: E, lines: Sequence[dict[str, Any]]) -> None:
        """Keep lines of an endpoint's servers as its cloud does; `source` says whose each is."""

    def start(self) -> None:
        """Begin, unless it has. Safe to repeat."""
        with self._carrying:
            if not self._thread.is_alive() and not self._stop.is_set():
                self._thread.start()

    def stop(self) -> None:
        """End the thread, whose stop event is set. Blocks until it has."""
        if self._thread.is_alive():
            self._thread.join()

    def end_all(self) -> None:
        """End every endpoint. Blocks until nothing is left on the host; what is left after a few seconds is killed."""
        for endpoint in self._all():
            with suppress(Exception):  # whatever is wrong with one, the others must end as well
                endpoint.close()
        end = time.monotonic() + _STOPPING
        for endpoint in self.opened():
            with suppress(MlinfraError):
                while not endpoint.hosting.is_gone and time.monotonic() < end:
                    time.sleep(_PAUSE / 5)
            endpoint.hosting.kill()

    def opened(self) -> list[E]:
        """The endpoints that have something on the host."""
        return [endpoint for endpoint in self._all() if endpoint.hosting.opened]

    def attend(self, endpoint: E) -> None:
        """Carry its servers' lines, and renew its lease."""
        self.carry_logs(endpoint)
        now = time.monotonic()
        if now - self._renewed.setdefault(endpoint, now) > _RENEWAL:
            self._renewed[endpoint] = now
            endpoint.hosting.attend()

    def carry_logs(self, endpoint: E) -> None:
        """Carry the servers' lines to where its cloud keeps them."""
        with self._carrying, suppress(NotFound):  # it is gone meanwhile
            while endpoint.hosting.opened and self._carry(endpoint) == _PAGE:
                pass

    def _carry(self, endpoint: E) -> int:
        """Carry a page of lines; how many it had."""
        page = endpoint.hosting.lines(self._tokens.get(endpoint))
        self._tokens[endpoint] = page["token"]
        self.keep(endpoint, page["lines"])
        return len(page["lines"])

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE):
            try:
                self.round()
            except Exception:  # noqa: BLE001  one bad round must not end all others
                _log.exception("a round of the endpoints' attendant failed")
