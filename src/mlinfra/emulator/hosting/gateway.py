"""Requests from the emulator to an endpoint's servers: connections are kept, one for each request under way."""

from __future__ import annotations

import http.client
import socket
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.hosting.hosting import Hosting

_DEPLOYMENT = "mlinfra-deployment"  # by which the host's gateway is told which deployment is meant
_KEPT = 256  # connections that wait for the next request
_GATEWAY_OWN = {
    b"the model server closed the connection": HTTPStatus.BAD_GATEWAY,
    b"the model server takes no connection": HTTPStatus.BAD_GATEWAY,
    b"the model server was stopped": HTTPStatus.BAD_GATEWAY,
    b"the model server does not speak HTTP": HTTPStatus.BAD_GATEWAY,
    b"no deployment has traffic": HTTPStatus.SERVICE_UNAVAILABLE,
    b"no server of the deployment is ready": HTTPStatus.SERVICE_UNAVAILABLE,
    b"too many requests wait for the model server": HTTPStatus.SERVICE_UNAVAILABLE,
    b"the model server did not answer within": HTTPStatus.GATEWAY_TIMEOUT,
    b"there is no such deployment": HTTPStatus.NOT_FOUND,
}
_OWN_PREFIX = b'{"error": {"code": '


class TimedOut(Exception):
    """The model gave no answer in time."""


class NotReached(Exception):
    """The request did not reach a model server, or its connection broke before there was an answer."""


class Answer(NamedTuple):
    """What the model answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Gateway:
    """The way to one endpoint's servers. Thread-safe."""

    def __init__(self, hosting: Hosting) -> None:
        self._hosting = hosting
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._closed = False

    def ask(
        self,
        deployment: str,
        route: str,
        body: bytes,
        headers: Mapping[str, str],
        timeout: float,
        *,
        method: str = "POST",
    ) -> Answer:
        """Send a request to a deployment's servers; `timeout` in real seconds.

        Raises:
            TimedOut: no answer in time.
            NotReached: no server has taken it.
        """
        named = {**headers, _DEPLOYMENT: deployment}
        connection, response = self._send(method, route, body, named, timeout)
        try:
            content = response.read()
        except TimeoutError as exc:
            connection.close()
            raise TimedOut from exc
        except (OSError, http.client.HTTPException) as exc:
            connection.close()
            raise NotReached(str(exc)) from exc
        if self._closed or response.will_close or len(self._idle) >= _KEPT:
            connection.close()
        else:
            self._idle.append(connection)
        _check_own(response.status, content)
        return Answer(response.status, response.headers, content)

    def close(self) -> None:
        """Close the connections that wait, and keep none from now on."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _send(
        self, method: str, route: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        while True:
            connection, fresh = self._connection(timeout)
            try:
                connection.request(method, route, body, headers)
                return connection, connection.getresponse()
            except TimeoutError as exc:
                connection.close()
                raise TimedOut from exc
            except (OSError, http.client.HTTPException) as exc:
                connection.close()
                if fresh:
                    raise NotReached(str(exc)) from exc  # a kept one may have idled too long: take another

    def _connection(self, timeout: float) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it is new."""
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._connect(timeout), True
        if connection.sock is None:
            return self._connect(timeout), True
        connection.sock.settimeout(timeout)
        return connection, False

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        try:
            host, port = self._hosting.address()
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as exc:
            self._hosting.forget_address()
            raise NotReached(str(exc)) from exc
        return connection


def _check_own(status: int, content: bytes) -> None:
    """Tell the gateway's own answers from a model's."""
    if not content.startswith(_OWN_PREFIX):
        return
    for words, code in _GATEWAY_OWN.items():
        if status == code and words in content:
            if status == HTTPStatus.GATEWAY_TIMEOUT:
                raise TimedOut
            raise NotReached(words.decode())
