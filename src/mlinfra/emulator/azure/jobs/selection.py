"""Which jobs a list shows: `jobType`, `tag`, `properties` and `listViewType` of Jobs_List."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlinfra.emulator.azure.jobs.job import Job

_SHOWN = {"ActiveOnly": (False,), "ArchivedOnly": (True,), "All": (False, True)}


def selected(jobs: Sequence[Job], query: Mapping[str, str]) -> list[Job]:
    """Those that a query asks for, in their order. A pair is `name` or `name=value`, several are parted by commas."""
    shown = _SHOWN.get(query.get("listViewType", ""), (False,))
    kind = query.get("jobType", "")
    return [
        job
        for job in jobs
        if bool(job.asked.get("isArchived")) in shown
        and (not kind or str(job.asked["jobType"]).lower() == kind.lower())
        and _has(job.asked.get("tags") or {}, query.get("tag", ""))
        and _has(job.asked.get("properties") or {}, query.get("properties", ""))
    ]


def _has(known: Mapping[str, str], wanted: str) -> bool:
    for pair in filter(None, (part.strip() for part in wanted.split(","))):
        name, equals, value = pair.partition("=")
        if name not in known or (equals and known[name] != value):
            return False
    return True
