"""Long-running operations: work that goes on after the call was answered, and what google.longrunning tells of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from mlinfra.emulator import progress
from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.gcp import paging
from mlinfra.emulator.gcp.names import new_id
from mlinfra.emulator.gcp.operations import Method, Request, named
from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.gcp.wire.messages import copied, packed, plain
from mlinfra.emulator.gcp.wire.status import status_of
from mlinfra.emulator.progress import Cancelled
from mlinfra.emulator.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mlinfra.emulator.gcp.emulator import GcpEmulator

SERVICE = "Operations"
_AT_ONCE = 0.05  # s of real time in which work without delays is over before its call is answered
_GLANCE = 0.05
_LONGEST_WAIT = 60.0
_log = logging.getLogger(__name__)
_BROKEN = refusals.refusal("INTERNAL", "Internal error encountered.")


@dataclass
class _Record:
    """One operation and how it stands."""

    name: str
    kind: str
    target: str
    metadata: Any
    created: datetime
    updated: datetime
    done: bool = False
    response: Any = None
    error: Refusal | None = None
    stop: Event = field(default_factory=Event)

    def told(self) -> operations_pb2.Operation:
        found = operations_pb2.Operation(name=self.name, done=self.done)
        if self.metadata is not None:
            found.metadata.CopyFrom(packed(self._stamped()))
        if self.error is not None:
            found.error.CopyFrom(status_of(self.error))
        elif self.done:
            found.response.CopyFrom(packed(self.response if self.response is not None else empty_pb2.Empty()))
        return found

    def _stamped(self) -> Any:
        metadata = copied(self.metadata)
        generic = plain(metadata).generic_metadata  # every operation of Vertex AI has it
        generic.create_time.FromDatetime(self.created)
        generic.update_time.FromDatetime(self.updated)
        return metadata


class Progress(progress.Progress):
    """What the work of an operation is handed: beside time, its name, and how it tells how far it is."""

    def __init__(self, emulator: GcpEmulator, record: _Record) -> None:
        super().__init__(emulator.clock, emulator.delays, record.stop)
        self._emulator = emulator
        self._record = record
        self.name = record.name

    def tell(self, metadata: Any) -> None:
        """Show other metadata from now on."""
        self._record.metadata = metadata
        self._record.updated = self._emulator.clock.now()


class Operations:
    """All operations of one emulator."""

    def __init__(self, emulator: GcpEmulator) -> None:
        self._emulator = emulator
        self._records: Table[_Record] = Table(emulator.clock, emulator.settings.list_lag)
        self._threads: list[Thread] = []

    def start(
        self, kind: str, target: str, work: Callable[[Progress], Any], metadata: Any = None
    ) -> operations_pb2.Operation:
        """Begin work on a thread of its own, and return the operation that the call answers with.

        `kind` is the RPC, `target` the resource in whose name the operation lies, as the service names it. `work`
        returns the response's message, None for an empty one; a Refusal that it raises is the operation's error.
        `metadata` is the message that the RPC documents; its generic part is filled in here.
        """
        now = self._emulator.clock.now()
        record = _Record(f"{target}/operations/{new_id()}", kind, target, metadata, now, now)
        self._records.add(record.name, record)
        thread = Thread(target=self._run, args=(record, work), name=f"operation-{kind}", daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        answer = record.told()
        thread.start()
        if self._emulator.delays.scale == 0:
            thread.join(_AT_ONCE)
        return answer

    def get(self, name: str) -> operations_pb2.Operation:
        """How one stands. NOT_FOUND where there is none."""
        return self._record(name).told()

    def listed(self, target: str) -> list[operations_pb2.Operation]:
        """Those below a name, in the order in which they were made."""
        return [each.told() for each in self._records.listed() if each.name.startswith(f"{target}/")]

    def cancel(self, name: str) -> None:
        """Ask one to end; its work decides whether it does. NOT_FOUND where there is none."""
        self._record(name).stop.set()

    def delete(self, name: str) -> None:
        """Forget one that is done. FAILED_PRECONDITION while it is not."""
        record = self._record(name)
        if not record.done:
            raise refusals.failed_precondition("Cannot delete an operation that is not done.")
        self._records.remove(record.name)

    def wait(self, name: str, seconds: float) -> operations_pb2.Operation:
        """How one stands once it is done, or after so many virtual seconds."""
        record = self._record(name)
        end = self._emulator.clock.monotonic() + seconds
        while not record.done and self._emulator.clock.monotonic() < end:
            if not self._emulator.clock.sleep(_GLANCE, self._emulator.asked_to_stop):
                break
        return record.told()

    def pending(self, target: str) -> list[str]:
        """Names of the operations on a resource that are not done."""
        return [each.name for each in self._records.values() if each.target == target and not each.done]

    def stop(self) -> None:
        """End all work that waits. Blocks until the threads are done, a few seconds at most."""
        for record in self._records.values():
            record.stop.set()
        for thread in self._threads:
            thread.join(5.0)

    def _record(self, name: str) -> _Record:
        found = self._records.get(self._emulator.place.resolve(name))
        if found is None:
            raise refusals.not_found(f"The Operation {name}")
        return found

    def _run(self, record: _Record, work: Callable[[Progress], Any]) -> None:
        try:
            record.response = work(Progress(self._emulator, record))
        except Cancelled:
            record.error = refusals.refusal("CANCELLED", "The operation was cancelled.")
        except Refusal as exc:
            record.error = exc
        except Exception:  # noqa: BLE001  whatever the work did, the operation ends and the log has a trace
            _log.exception("the operation %s met a fault of the emulator", record.name)
            record.error = _BROKEN
        record.updated = self._emulator.clock.now()
        record.done = True


def _get(emulator: GcpEmulator, request: Request) -> Any:
    return emulator.longrunning.get(request.message.name)


def _list(emulator: GcpEmulator, request: Request) -> Any:
    target = emulator.place.resolve(request.message.name)
    page = paging.page(emulator.longrunning.listed(target), request.message, key=lambda each: each.name)
    return operations_pb2.ListOperationsResponse(operations=page.items, next_page_token=page.token)


def _cancel(emulator: GcpEmulator, request: Request) -> Any:
    emulator.longrunning.cancel(request.message.name)
    return empty_pb2.Empty()


def _delete(emulator: GcpEmulator, request: Request) -> Any:
    emulator.longrunning.delete(request.message.name)
    return empty_pb2.Empty()


def _wait(emulator: GcpEmulator, request: Request) -> Any:
    seconds = request.message.timeout.ToTimedelta().total_seconds() or _LONGEST_WAIT
    return emulator.longrunning.wait(request.message.name, min(seconds, _LONGEST_WAIT))


_UNPUBLISHED = "which permission is asked is not published; here `aiplatform.operations.list`"
METHODS = tuple(
    Method(SERVICE, name, handle, "aiplatform.operations.list", named("name"), "read", (_UNPUBLISHED,))
    for name, handle in {
        "GetOperation": _get,
        "ListOperations": _list,
        "CancelOperation": _cancel,
        "DeleteOperation": _delete,
        "WaitOperation": _wait,
    }.items()
)
MESSAGES: dict[str, tuple[type, type]] = {
    "GetOperation": (operations_pb2.GetOperationRequest, operations_pb2.Operation),
    "ListOperations": (operations_pb2.ListOperationsRequest, operations_pb2.ListOperationsResponse),
    "CancelOperation": (operations_pb2.CancelOperationRequest, empty_pb2.Empty),
    "DeleteOperation": (operations_pb2.DeleteOperationRequest, empty_pb2.Empty),
    "WaitOperation": (operations_pb2.WaitOperationRequest, operations_pb2.Operation),
}
