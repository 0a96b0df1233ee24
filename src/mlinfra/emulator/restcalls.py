"""Calls of REST interfaces at an emulator's own plain port, as a provider's plugin makes them: JSON in and JSON out."""

from __future__ import annotations

import json
from http import HTTPStatus
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from mlinfra.emulator.provisioning import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATIENCE = 60.0  # s for one call


class RestCalls:
    """One caller's calls. Thread-safe. Paths begin with a slash; members of a body that are None are left out."""

    def __init__(self, url: str, token: str) -> None:
        self._place = urlsplit(url).netloc
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """One call.

        Raises:
            Refused: the service's error.
        """
        status, answer = self._exchange(method, path, body, query or {})
        if status < HTTPStatus.BAD_REQUEST:
            return answer
        raise _refused(method, path, status, answer)

    def found(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        """What a GET tells; None where there is nothing."""
        return self._or_none("GET", path, query or {})

    def gone(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """A DELETE; what is gone already is as good."""
        return self._or_none("DELETE", path, query or {}) or {}

    def _or_none(self, method: str, path: str, query: Mapping[str, str]) -> dict[str, Any] | None:
        status, answer = self._exchange(method, path, None, query)
        if status == HTTPStatus.NOT_FOUND:
            return None
        if status < HTTPStatus.BAD_REQUEST:
            return answer
        raise _refused(method, path, status, answer)

    def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None, query: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        given = None if body is None else json.dumps({name: value for name, value in body.items() if value is not None})
        connection = HTTPConnection(self._place, timeout=_PATIENCE)
        try:
            connection.request(method, f"{path}?{urlencode(query)}" if query else path, given, self._headers)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        answer: dict[str, Any] = (json.loads(text) if text else None) or {}
        return response.status, answer


def _refused(method: str, path: str, status: int, answer: Mapping[str, Any]) -> Refused:
    message = answer.get("error", {}).get("message", "")
    return Refused(f"{method} {path}: {status}: {message}", exists=method == "POST" and status == HTTPStatus.CONFLICT)
