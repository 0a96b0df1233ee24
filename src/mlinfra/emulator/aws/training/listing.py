"""ListTrainingJobs: filters, order and pages.

By its description, StatusEquals is looked at within a page: the page's jobs are chosen first, and those of another
status are then left out of the answer. Newest first unless asked otherwise: the description says so where it
explains the filter, and "Ascending" at SortOrder; the service does the former.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.paging import page
from mlinfra.emulator.aws.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Summary = dict[str, Any]

_MEMBER = "TrainingJobSummaries"
_FILTERS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "CreationTimeAfter": ("CreationTime", lambda has, asked: has > asked),
    "CreationTimeBefore": ("CreationTime", lambda has, asked: has < asked),
    "LastModifiedTimeAfter": ("LastModifiedTime", lambda has, asked: has > asked),
    "LastModifiedTimeBefore": ("LastModifiedTime", lambda has, asked: has < asked),
    "NameContains": ("TrainingJobName", lambda has, asked: asked.lower() in has.lower()),
    "WarmPoolStatusEquals": ("WarmPoolStatus", lambda has, asked: has is not None and has["Status"] == asked),
}
_KEYS = {"Name": "TrainingJobName", "Status": "TrainingJobStatus", "CreationTime": "CreationTime"}


def answer(summaries: Sequence[Summary], body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer, from all jobs in the order of their creation.

    Raises:
        Refusal: the token was not made here, or for another question.
    """
    if "TrainingPlanArnEquals" in body:
        raise refusals.not_emulated("TrainingPlanArnEquals")
    key = _KEYS[body.get("SortBy", "CreationTime")]
    descending = body.get("SortOrder", "Descending") == "Descending"
    chosen = sorted((each for each in summaries if _fits(each, body)), key=lambda each: each[key], reverse=descending)
    told = page(_MEMBER, chosen, body, key=lambda each: str(each["TrainingJobName"]))
    status = body.get("StatusEquals")
    return {**told, _MEMBER: [each for each in told[_MEMBER] if status in {None, each["TrainingJobStatus"]}]}


def _fits(summary: Summary, body: Mapping[str, Any]) -> bool:
    return all(fits(summary.get(has), body[asked]) for asked, (has, fits) in _FILTERS.items() if asked in body)
