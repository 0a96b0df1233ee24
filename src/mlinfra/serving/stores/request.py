"""What the stores have in common: how an object is sent, and tokens that are renewed before they end."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mlinfra.runner.problem import DAMAGED, RunnerError
from mlinfra.runner.web import send

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONTENT_TYPE = "application/jsonlines"
PATIENCE = 20.0  # seconds without a byte
_SPARE = 120.0  # seconds before its end at which an identity is renewed

Identity = TypeVar("Identity")


def put(method: str, url: str, content: bytes, headers: Mapping[str, str]) -> None:
    """Send an object, once. Raises RunnerError."""
    send(method, url, content, {"Content-Type": CONTENT_TYPE, **headers}, PATIENCE, attempts=1)


def ask(url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """The JSON object that a service of the machine answers with. Raises RunnerError."""
    answer = send("GET", url, headers=headers, timeout=PATIENCE, attempts=1)
    try:
        document = json.loads(answer)
    except ValueError as exc:
        raise RunnerError(f"{url.partition('?')[0]} answered with something that is not JSON", DAMAGED) from exc
    if not isinstance(document, dict):
        raise RunnerError(f"{url.partition('?')[0]} answered with something that is no object", DAMAGED)
    return document


class Renewed(Generic[Identity]):
    """An identity with an end, asked for when it is first needed and again before it ends. For one thread."""

    def __init__(self, fetch: Callable[[], tuple[Identity, float]]) -> None:
        self._fetch = fetch  # gives the identity and the time, as `time.time` counts, at which it ends
        self._known: Identity | None = None
        self._until = 0.0

    def get(self) -> Identity:
        """The identity. Raises as what fetches it."""
        if self._known is None or self._until - _SPARE < time.time():
            self._known, self._until = self._fetch()
        return self._known
