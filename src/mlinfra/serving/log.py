"""The server's log: one JSON object a line on standard output, where every platform collects it."""

from __future__ import annotations

import os
import sys
import time
import traceback
from typing import Any

import orjson


def log(event: str, *, level: str = "info", error: BaseException | None = None, **fields: Any) -> None:
    """Write one event. An error's trace goes with it; a log that cannot be written stops nothing."""
    record: dict[str, Any] = {"time": round(time.time(), 3), "level": level, "event": event, "pid": os.getpid()}
    record.update(fields)
    if error is not None:
        record["error"] = f"{type(error).__name__}: {error}"
        record["trace"] = "".join(traceback.format_exception(error))
    try:
        sys.stdout.buffer.write(orjson.dumps(record, default=str) + b"\n")
        sys.stdout.flush()
    except OSError:
        pass
