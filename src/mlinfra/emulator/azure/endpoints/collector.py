"""The data collector: requests and answers as JSON lines in blob storage, where and how the service writes them.

After the guide "Collect production data from models for real-time inferencing": payload logging (the collections
`request` and `response`), the schema of a record, and the path
`{endpoint}/{deployment}/{collection}/{yyyy}/{MM}/{dd}/{HH}/{instance_id}.jsonl`. Other collections are written by code
in the container and by nobody here.
"""

from __future__ import annotations

import json
import uuid
from collections import deque
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.hosting.split import Split

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

REQUEST, RESPONSE = "request", "response"
PREFIX = "modelDataCollector"
_ENABLED = "Enabled"
_WAITING = 50_000  # records; more than that many before a flush are dropped
_LARGEST = 4 * 1024 * 1024  # bytes of a payload that stands in the record itself
_ROLLED = {
    "Year": "%Y",
    "Month": "%Y/%m",
    "Day": "%Y/%m/%d",
    "Hour": "%Y/%m/%d/%H",
    "Minute": "%Y/%m/%d/%H/%M",
}


@dataclass(frozen=True)
class Part:
    """One direction of an exchange."""

    content_type: str
    data: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Exchange:
    """A request that was answered."""

    at: datetime
    path: str
    request_id: str
    request: Part
    response: Part


class Collector:
    """What one deployment collects. `take` is cheap and thread-safe; `flush` writes what has been taken.

    `targets` tells for each collection where its files go: the address of a blob's folder.
    """

    def __init__(
        self,
        deployment: str,
        config: Mapping[str, Any],
        targets: Mapping[str, str],
        write: Callable[[str, bytes], None],
    ) -> None:
        """`deployment` is its id; `config` a DataCollector; `write` puts a blob, in the endpoint's identity's name."""
        self._deployment = deployment
        self._targets = targets
        self._write = write
        self._headers = [name.lower() for name in (config.get("requestLogging") or {}).get("captureHeaders") or ()]
        self._rolled = _ROLLED[config.get("rollingRate") or "Hour"]
        self._samples = {name: _sample(config["collections"][name]) for name in targets}
        self._lock = Lock()
        self._waiting: deque[tuple[str, datetime, dict[str, Any], bytes]] = deque(maxlen=_WAITING)

    def take(self, exchange: Exchange) -> list[str]:
        """Keep an exchange for the next flush, if the samples say so. Returns the collections that it went to."""
        taken = []
        with self._lock:
            for name, part in ((REQUEST, exchange.request), (RESPONSE, exchange.response)):
                if name in self._samples and self._samples[name].next():
                    self._waiting.append((name, exchange.at, self._record(name, exchange, part), part.data))
                    taken.append(name)
        return taken

    def flush(self) -> list[tuple[str, str]]:
        """Write what was taken. Returns collections and reasons of what could not be written, which is lost."""
        with self._lock:
            taken, self._waiting = list(self._waiting), deque(maxlen=_WAITING)
        files: dict[tuple[str, str], list[tuple[dict[str, Any], bytes]]] = {}
        for name, at, record, data in taken:
            folder = f"{self._targets[name]}/{at.strftime(self._rolled)}"
            files.setdefault((name, folder), []).append((record, data))
        problems = []
        for (name, folder), records in files.items():
            try:
                lines = [self._line(folder, record, data) for record, data in records]
                self._write(f"{folder}/{uuid.uuid4()}.jsonl", b"".join(lines))
            except Exception as exc:  # noqa: BLE001  collecting never fails a request
                problems += [(name, type(exc).__name__)] * len(records)
        return problems

    def _line(self, folder: str, record: dict[str, Any], data: bytes) -> bytes:
        """The record's line; what is large or no text lies in a blob of its own beside it."""
        if "data" not in record:
            uri = f"{folder}/{record['id']}"
            self._write(uri, data)
            record = {**record, "data": uri, "datainblob": "true"}
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"

    def _record(self, name: str, exchange: Exchange, part: Part) -> dict[str, Any]:
        size = len(part.data)
        found = {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": self._deployment,
            "type": f"azureml.inference.{name}",
            "datacontenttype": part.content_type,
            "time": f"{exchange.at:%Y-%m-%dT%H:%M:%SZ}",
            **_content(part),
            **({"path": exchange.path, "method": "POST"} if name == REQUEST else {}),
            "contentrange": f"bytes 0-{max(0, size - 1)}/{size}",
            "correlationid": exchange.request_id,
            "xrequestid": exchange.request_id,
        }
        told = {header: part.headers[header] for header in self._headers if header in part.headers}
        return {**found, **({"headers": told} if told else {})}


def _content(part: Part) -> dict[str, Any]:
    """The payload as the record holds it; nothing where it is too large, or no text."""
    if len(part.data) > _LARGEST:
        return {}
    try:
        text = part.data.decode()
    except UnicodeDecodeError:
        return {}
    if "json" not in part.content_type.lower():
        return {"data": text}
    try:
        return {"data": json.loads(text)}
    except ValueError:
        return {"data": text}


def _sample(collection: Mapping[str, Any]) -> Split[bool]:
    rate = collection.get("samplingRate")
    share = 1.0 if rate is None else float(rate)
    return Split({True: share, False: 1.0 - share})


def collected(config: Mapping[str, Any]) -> list[str]:
    """The collections of a DataCollector whose payload the service logs by itself."""
    known = config.get("collections") or {}
    return [name for name in (REQUEST, RESPONSE) if name in known and known[name].get("dataCollectionMode") == _ENABLED]
