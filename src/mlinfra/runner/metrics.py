"""`mlinfra.log_metric`: a number that the platform, the job's result and MLflow will know by its name.

Runs inside the user's script, so it never fails one: what cannot be delivered is said once.
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

LOG = "metrics.jsonl"  # in the result folder, a line for each call
_WORD = "mlinfra-metric"  # begins the line that is printed
_UNFIT = re.compile(r"[^A-Za-z0-9_./-]")
_LINE = re.compile(r"mlinfra-metric name=(?P<name>\S+) value=(?P<value>\S+)(?: step=(?P<step>-?\d+))?\s*")
_PATIENCE = 5.0  # s for MLflow to answer
_SILENCE = 60.0  # s before MLflow is tried again after it failed


class Metric(NamedTuple):
    """One value of a metric."""

    name: str
    value: float
    step: int | None
    time: float  # s since 1970

    def as_document(self) -> dict[str, Any]:
        """As the result files hold it; what is not finite is null, for JSON has no other word."""
        return {**self._asdict(), "value": self.value if math.isfinite(self.value) else None}


def log_metric(name: str, value: float, step: int | None = None) -> None:
    """Record one value of a metric, at a step where there are several.

    Prints one line that platforms can parse, adds it to the job's result where there is one, and sends it to MLflow
    where MLFLOW_TRACKING_URI and MLFLOW_RUN_ID name a run. Characters that a platform could not carry become `_`.
    Raises TypeError or ValueError for a value that is no number, and nothing else.
    """
    metric = Metric(_UNFIT.sub("_", name) or "_", float(value), None if step is None else int(step), time.time())
    if metric.name != name:
        _say_once(name, f"metric {name!r} is recorded as {metric.name!r}")
    end = "" if metric.step is None else f" step={metric.step}"
    sys.stdout.write(f"{_WORD} name={metric.name} value={metric.value!r}{end}\n")
    sys.stdout.flush()
    folder = os.environ.get("MLINFRA_RESULT")
    if folder:
        _append(Path(folder), metric)
    _to_mlflow(metric)


def read_line(line: str) -> Metric | None:
    """The metric that a printed line holds, None where it holds none."""
    match = _LINE.fullmatch(line)
    if not match:
        return None
    try:
        value = float(match["value"])
    except ValueError:
        return None
    return Metric(match["name"], value, int(match["step"]) if match["step"] else None, time.time())


def read_log(folder: Path) -> list[Metric]:
    """What `log_metric` left in a result folder, in its order; a line cut off by a crash is left out."""
    try:
        lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [metric for metric in map(_from_log, lines) if metric is not None]


def _from_log(line: str) -> Metric | None:
    try:
        document = json.loads(line)
        value = math.nan if document["value"] is None else document["value"]
        return Metric(document["name"], value, document["step"], document["time"])
    except (ValueError, KeyError, TypeError):
        return None


def _append(folder: Path, metric: Metric) -> None:
    line = f"{json.dumps(metric.as_document())}\n".encode()
    try:
        # One write to a file opened for appending stays whole beside other processes'.
        descriptor = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
    except OSError as exc:
        _say_once(LOG, f"metrics cannot be written to {folder}: {exc}")


_said: set[str] = set()
_quiet_until: dict[str, float] = {}


def _to_mlflow(metric: Metric) -> None:
    uri, run = os.environ.get("MLFLOW_TRACKING_URI", ""), os.environ.get("MLFLOW_RUN_ID", "")
    if not run or not uri.startswith(("http://", "https://")) or _quiet_until.get(uri, 0.0) > time.monotonic():
        return
    if not math.isfinite(metric.value):
        _say_once(f"finite {metric.name}", f"metric {metric.name} is {metric.value}, which MLflow's interface refuses")
        return
    from mlinfra.runner.problem import RunnerError  # noqa: PLC0415  with the next, 20 ms for those who track
    from mlinfra.runner.web import send  # noqa: PLC0415

    body = {"run_id": run, "key": metric.name, "value": metric.value, "timestamp": int(metric.time * 1000)}
    body["step"] = metric.step or 0
    headers = {"Content-Type": "application/json", **_mlflow_login()}
    address = f"{uri.rstrip('/')}/api/2.0/mlflow/runs/log-metric"
    try:
        send("POST", address, json.dumps(body).encode(), headers, timeout=_PATIENCE, attempts=1)
    except RunnerError as exc:
        _quiet_until[uri] = time.monotonic() + _SILENCE
        _say_once(uri, f"MLflow does not take metrics: {exc}; they are in the job's result all the same")


def _mlflow_login() -> dict[str, str]:
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if token:
        return {"Authorization": f"Bearer {token}"}
    if user:
        pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _say_once(key: str, text: str) -> None:
    if key not in _said:
        _said.add(key)
        sys.stderr.write(f"mlinfra: {text}\n")
