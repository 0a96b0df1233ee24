"""People who use an endpoint while something happens to it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlinfra.engine.endpoints import find

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.engine.session import Session

_PAUSE = 0.005  # seconds between two requests
_OK = 200


class Load:
    """How requests went, by deployment and status. Status 0 is no answer at all."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, int]] = Counter()

    def failed(self) -> dict[str, int]:
        """Deployment -> requests that were not answered with 200."""
        failed: Counter[str] = Counter()
        for (deployment, status), count in self.counts.items():
            if status != _OK:
                failed[deployment] += count
        return dict(failed)


@contextmanager
def under_load(session: Session, name: str, row: dict[str, Any]) -> Iterator[Load]:
    """Ask for the same row about 100 times a second until the block ends, through the adapter's own call."""
    load, ended = Load(), threading.Event()
    adapter, environment = session.adapter, session.environment
    observed = find(session, name)
    body = json.dumps({"instances": [row]}).encode()

    def ask() -> None:
        while not ended.wait(_PAUSE):
            request = adapter.endpoints.invoke(observed, None, body, "application/json", environment)
            try:
                reply = adapter.observe.invocation(session.client.send(request), environment)
            except Exception:  # noqa: BLE001  whatever it is, the request was not answered
                load.counts["", 0] += 1
            else:
                load.counts[reply.deployment, reply.status] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield load
    finally:
        ended.set()
        thread.join()
