"""Long-running operations: work that goes on after the call was answered, and how ARM lets callers follow it.

Source: "Track asynchronous Azure operations". PUT answers 200 or 201 with the resource and `Azure-AsyncOperation`,
whose address tells a status; DELETE, PATCH and POST answer 202 with `Location`, whose address answers 202 until the
operation is over, and then what it came to. Both come with `Retry-After`.
"""

from __future__ import annotations

import logging
import math
import uuid
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.names import LOCATION, told_time
from mlinfra.emulator.azure.operations import Operation, Reply, Request
from mlinfra.emulator.azure.wire import refusals
from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.progress import Cancelled, Progress
from mlinfra.emulator.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from mlinfra.emulator.azure.emulator import AzureEmulator

CANCELED = "OperationCanceled"  # an error's code that makes the operation's status Canceled, and not Failed
STATUS, RESULT = "mfeOperationsStatus", "mfeOperationResults"
_AT_ONCE = 0.05  # s of real time in which work without delays is over before its call is answered
_RETRY_AFTER = 10.0  # virtual seconds
_LONGEST = "PT90M"
_log = logging.getLogger(__name__)
_BROKEN = refusals.refusal("InternalServerError", "An internal server error occurred.", 500)


@dataclass
class _Record:
    """One operation and how it stands."""

    name: str
    kind: str
    version: str
    started: datetime
    ended: datetime | None = None
    result: Any = None
    error: Refusal | None = None
    stop: Event = field(default_factory=Event)

    @property
    def status(self) -> str:
        if self.ended is None:
            return "InProgress"
        if self.error is None:
            return "Succeeded"
        return "Canceled" if self.error.code == CANCELED else "Failed"


class LongRunning:
    """All operations of one emulator. Thread-safe."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator
        self._records: Table[_Record] = Table(emulator.clock)
        self._lock = Lock()
        self._threads: list[Thread] = []

    def start(
        self,
        request: Request,
        work: Callable[[Progress], Any],
        body: Mapping[str, Any] | None = None,
        *,
        created: bool = False,
        asynchronous: bool = False,
    ) -> Reply:
        """Begin work on a thread of its own, and return the answer to the call that asked for it.

        A PUT answers with `body`, the resource as it is now (201 where it was `created`), and the address of the
        status; DELETE, PATCH and POST answer 202 with the address of the result, which becomes what `work` returns
        (None: nothing). `asynchronous` gives those the address of the status too. A Refusal that the work raises is
        the operation's error.
        """
        record = _Record(
            str(uuid.uuid4()),
            request.call.operation,
            request.version,
            self._emulator.clock.now(),
        )
        self._records.add(record.name, record)
        thread = Thread(target=self._run, args=(record, work), name=f"operation-{record.kind}", daemon=True)
        with self._lock:
            self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        reply = self._reply(request, record, dict(body or {}), created=created, asynchronous=asynchronous)
        thread.start()
        if self._emulator.delays.scale == 0:
            thread.join(_AT_ONCE)
        return reply

    def retry_after(self) -> dict[str, str]:
        """The header that says when to ask again: in seconds, or in milliseconds where the emulator's time is short."""
        scale = self._emulator.delays.scale / self._emulator.clock.speed
        seconds = _RETRY_AFTER * min(scale, 1.0)
        if seconds >= 1:
            return {"Retry-After": str(math.ceil(seconds))}
        return {"x-ms-retry-after-ms": str(max(20, math.ceil(seconds * 1000)))}

    def stop(self) -> None:
        """End all work that waits. Blocks until the threads are done, a few seconds at most."""
        for record in self._records.values():
            record.stop.set()
        for thread in self._threads:
            thread.join(5.0)

    def told(self, name: str) -> dict[str, Any]:
        """The status document of one. 404 where there is none."""
        record = self._record(name)
        place = self._emulator.place
        found: dict[str, Any] = {
            "id": f"{LOCATION.format(subscriptionId=place.subscription, location=place.region)}/{STATUS}/{name}",
            "name": record.name,
            "status": record.status,
            "startTime": told_time(record.started),
        }
        if record.ended is not None:
            found["endTime"] = told_time(record.ended)
            found["percentComplete"] = 100
        if record.error is not None:
            found |= refusals.document(record.error)
        return found

    def result(self, name: str, request: Request) -> Reply:
        """The result of one, or 202 while it goes on."""
        record = self._record(name)
        if record.ended is None:
            return Reply(None, 202, {"Location": self._address(request, RESULT, record), **self.retry_after()})
        if record.error is not None:
            raise record.error
        return Reply(record.result, 200 if record.result is not None else 204)

    def _record(self, name: str) -> _Record:
        found = self._records.get(name)
        if found is None:
            raise refusals.not_found(f"The operation {name} was not found.")
        return found

    def _reply(
        self, request: Request, record: _Record, body: dict[str, Any], *, created: bool, asynchronous: bool
    ) -> Reply:
        headers = {"x-ms-async-operation-timeout": _LONGEST, **self.retry_after()}
        status = {"Azure-AsyncOperation": self._address(request, STATUS, record)}
        if request.method == "PUT":
            return Reply(body, 201 if created else 200, {**headers, **status})
        location = {"Location": self._address(request, RESULT, record)}
        return Reply(body or None, 202, {**headers, **location, **(status if asynchronous else {})})

    def _address(self, request: Request, collection: str, record: _Record) -> str:
        place = self._emulator.place
        path = LOCATION.format(subscriptionId=place.subscription, location=place.region)
        return f"{request.address}{path}/{collection}/{record.name}?api-version={record.version}"

    def _run(self, record: _Record, work: Callable[[Progress], Any]) -> None:
        try:
            record.result = work(Progress(self._emulator.clock, self._emulator.delays, record.stop))
        except Cancelled:
            record.error = refusals.refusal(CANCELED, "The operation was canceled.", 409)
        except Refusal as exc:
            record.error = exc
        except Exception:  # noqa: BLE001  whatever the work did, the operation ends and the log has a trace
            _log.exception("the operation %s met a fault of the emulator", record.name)
            record.error = _BROKEN
        record.ended = self._emulator.clock.now()


def _status(emulator: AzureEmulator, request: Request) -> Reply:
    found = emulator.longrunning.told(request.parts["operationId"])
    return Reply(found, 200, {} if "endTime" in found else emulator.longrunning.retry_after())


def _result(emulator: AzureEmulator, request: Request) -> Reply:
    return emulator.longrunning.result(request.parts["operationId"], request)


OPERATIONS = (
    Operation("Operations_GetStatus", "GET", f"{LOCATION}/{STATUS}/{{operationId}}", _status, ""),
    Operation("Operations_GetResult", "GET", f"{LOCATION}/{RESULT}/{{operationId}}", _result, ""),
)
