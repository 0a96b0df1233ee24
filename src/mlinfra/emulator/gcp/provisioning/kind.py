"""What the kinds of resources in the emulated project share: labels, and the members that a document tells.

The provider's labels are not authoritative: it looks after those that the configuration names, and no others.
Source: the provider's documentation of `labels` and `effectiveLabels`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.emulator.gcp.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs

LABELS = "labels"


def relabelled(told: Inputs, wanted: Inputs, before: Inputs, member: str = LABELS) -> dict[str, str]:
    """The labels of a resource once the declared ones are as wanted; those of others stay."""
    others = {key: text for key, text in (told.get(member) or {}).items() if key not in (before.get(member) or {})}
    return {**others, **(wanted.get(member) or {})}


def told(document: Inputs, declared: Inputs, *members: str) -> dict[str, Any]:
    """The declared ones of some members, as a document has them; of labels those that were declared."""
    return {member: _told(document.get(member), declared[member], member) for member in members if member in declared}


def removed(path: Callable[[Cloud, Declared], str]) -> Callable[[Cloud, Declared], None]:
    """A DELETE of the resource's path."""

    def delete(cloud: Cloud, declared: Declared) -> None:
        cloud.gone(path(cloud, declared))

    return delete


def _told(now: Any, wanted: Any, member: str) -> Any:
    if not member.lower().endswith(LABELS):
        return now
    return {key: text for key, text in (now or {}).items() if key in wanted}


def mask(members: Mapping[str, Any]) -> str:
    """An update mask of every member of a body."""
    return ",".join(sorted(members))
