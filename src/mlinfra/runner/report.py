"""What a job leaves behind to tell how it went: result.json, metrics.json, and `failure` where there is a reason.

`failure` is also written where the platform shows it to people. Secrets are masked in all of it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.runner.metrics import Metric, read_log
from mlinfra.runner.places import failure_file
from mlinfra.runner.problem import TEMPORARY, RunnerError
from mlinfra.runner.upload import upload
from mlinfra.runner.vault import Masker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlinfra.runner.digest import Content

_SHOWN_BY_SAGEMAKER = 1_024  # characters of a failure's reason
_SHOWN = 16_384  # characters of it that are kept elsewhere


class End(NamedTuple):
    """How a job ended."""

    status: str  # succeeded, failed, stopped
    exit_code: int
    reason: str = ""
    last: tuple[str, ...] = ()  # the lines that the command printed last


class Report:
    """Gathers what is known of a run, and writes it at its end."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder  # None as long as the manifest has not said where
        self.uri: str | None = None  # where the result goes from there
        self.phase = "manifest"
        self.masker = Masker()
        self.outputs: dict[str, Content] = {}
        self.requirements: list[str] = []
        self.printed: Sequence[Metric] = ()
        self._started = time.time()

    def end(self, end: End) -> int:
        """Write the result files, take them where they go, and return the exit code.

        What fails in doing so is said, and does not hide how the command ended.
        """
        end = end._replace(reason=self.masker.hide_text(end.reason))
        if end.reason:
            sys.stderr.write(f"mlinfra: {end.status}: {end.reason}\n")
        try:
            self._write_all(end)
            if self.uri is not None and self.folder is not None:
                upload(self.folder, self.uri)
        except (OSError, RunnerError) as exc:
            sys.stderr.write(f"mlinfra: the job's result cannot be written: {self.masker.hide_text(str(exc))}\n")
            return end.exit_code or TEMPORARY
        return end.exit_code

    def _write_all(self, end: End) -> None:
        if end.reason:
            self._write_failure("\n".join([end.reason, *end.last]))
        if self.folder is not None:
            _write(self.folder / "metrics.json", json.dumps([metric.as_document() for metric in self._metrics()]))
            _write(self.folder / "result.json", json.dumps(self._result(end)))

    def _result(self, end: End) -> dict[str, Any]:
        return {
            "status": end.status,
            "exit_code": end.exit_code,
            "reason": end.reason,
            "phase": self.phase,
            "outputs": {name: content._asdict() for name, content in self.outputs.items()},
            "requirements": self.requirements,
            "started": self._started,
            "ended": time.time(),
        }

    def _metrics(self) -> list[Metric]:
        """What `log_metric` recorded, and what other programs printed in its form."""
        logged = read_log(self.folder) if self.folder is not None else []
        known = Counter(_key(metric) for metric in logged)
        others = []
        for metric in self.printed:
            if known[_key(metric)]:
                known[_key(metric)] -= 1
            else:
                others.append(metric)
        return sorted([*logged, *others], key=lambda metric: metric.time)

    def _write_failure(self, text: str) -> None:
        if self.folder is not None:
            _write(self.folder / "failure", _shorten(text, _SHOWN))
        place = failure_file(os.environ)
        if place is not None:
            _write(place, _shorten(text, _SHOWN_BY_SAGEMAKER))


def _key(metric: Metric) -> tuple[str, str, int | None]:
    return metric.name, repr(metric.value), metric.step


def _shorten(text: str, longest: int) -> str:
    """The reason, which comes first, and as much of the end as there is room for."""
    if len(text) <= longest:
        return text
    head, _, tail = text.partition("\n")
    head = head[: longest // 2]
    return f"{head}\n…{tail[len(head) + 2 - longest :]}" if tail else f"{head}…"


def _write(place: Path, text: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)  # the run may have failed before it got there
    descriptor, draft = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    Path(draft).chmod(0o644)
    Path(draft).replace(place)
