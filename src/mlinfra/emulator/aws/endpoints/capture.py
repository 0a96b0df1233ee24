"""Data capture: requests and answers as JSON lines in S3, where and how SageMaker writes them.

Layout and record are those that Model Monitor's documentation shows:
`<destination>/<endpoint>/<variant>/yyyy/mm/dd/hh/mm-ss-mmm-<uuid>.jsonl`, one record a line.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mlinfra.emulator.hosting.split import sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

_MODES = {"Input": ("INPUT",), "Output": ("OUTPUT",), "InputAndOutput": ("INPUT", "OUTPUT")}
_WAITING = 50_000  # records; more than that many before a flush are dropped, as the service drops under pressure


@dataclass(frozen=True)
class Part:
    """One direction of an exchange."""

    content_type: str
    data: bytes


@dataclass(frozen=True)
class Exchange:
    """A request that was answered."""

    at: datetime
    variant: str
    request: Part
    answer: Part
    inference_id: str = ""
    custom_attributes: str = ""


class Capture:
    """What one endpoint captures. `take` is cheap and thread-safe; `flush` writes what has been taken."""

    def __init__(self, endpoint: str, config: Mapping[str, Any], write: Callable[[str, bytes], None]) -> None:
        """`config` is a DataCaptureConfig; `write` puts an object under a URI, in the execution role's name."""
        self._endpoint = endpoint
        self._destination = config["DestinationS3Uri"].rstrip("/")
        self._modes = {mode for option in config["CaptureOptions"] for mode in _MODES[option["CaptureMode"]]}
        types = config.get("CaptureContentTypeHeader", {})
        self._encodings = {
            **dict.fromkeys(map(str.lower, types.get("CsvContentTypes", ())), "CSV"),
            **dict.fromkeys(map(str.lower, types.get("JsonContentTypes", ())), "JSON"),
        }
        self._sample = sample(config["InitialSamplingPercentage"])
        self._write = write
        self._lock = Lock()
        self._waiting: deque[Exchange] = deque(maxlen=_WAITING)

    def take(self, exchange: Exchange) -> None:
        """Keep an exchange for the next flush, if the sample says so."""
        with self._lock:
            if self._sample.next():
                self._waiting.append(exchange)

    def flush(self) -> None:
        """Write one object for each variant and hour that something was taken of. What cannot be written is lost."""
        with self._lock:
            taken, self._waiting = list(self._waiting), deque(maxlen=_WAITING)
        objects: dict[str, list[Exchange]] = defaultdict(list)
        for exchange in taken:
            objects[f"{exchange.variant}/{exchange.at:%Y/%m/%d/%H}"].append(exchange)
        for folder, exchanges in objects.items():
            first = exchanges[0].at
            name = f"{first:%M-%S}-{first.microsecond // 1000:03d}-{uuid4()}.jsonl"
            lines = "".join(f"{json.dumps(self._record(exchange))}\n" for exchange in exchanges)
            with suppress(Exception):  # the service captures where it can and never fails a request for it
                self._write(f"{self._destination}/{self._endpoint}/{folder}/{name}", lines.encode())

    def _record(self, exchange: Exchange) -> dict[str, Any]:
        data = {}
        if "INPUT" in self._modes:
            data["endpointInput"] = self._side("INPUT", exchange.request)
        if "OUTPUT" in self._modes:
            data["endpointOutput"] = self._side("OUTPUT", exchange.answer)
        metadata: dict[str, Any] = {"eventId": str(uuid4())}
        if exchange.custom_attributes:
            metadata["customAttributes"] = [exchange.custom_attributes]
        if exchange.inference_id:
            metadata["inferenceId"] = exchange.inference_id
        metadata["inferenceTime"] = f"{exchange.at:%Y-%m-%dT%H:%M:%SZ}"
        return {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}

    def _side(self, mode: str, part: Part) -> dict[str, str]:
        kind = part.content_type.partition(";")[0].strip().lower()
        encoding = self._encodings.get(kind, "BASE64")
        text = part.data.decode("utf-8", "replace") if encoding != "BASE64" else base64.b64encode(part.data).decode()
        return {"observedContentType": part.content_type, "mode": mode, "data": text, "encoding": encoding}
