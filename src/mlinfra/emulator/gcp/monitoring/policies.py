"""Alert policies and notification channels: kept and told, so that a stack can make them; they open no incidents.

After AlertPolicy, Condition, MetricThreshold and NotificationChannel in the discovery document of monitoring v3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.monitoring import filters
from mlinfra.emulator.gcp.names import new_id
from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.emulator.calls import Refusal
    from mlinfra.emulator.gcp.emulator import GcpEmulator

POLICIES, CHANNELS = "alertPolicies", "notificationChannels"
_COMBINERS = ("AND", "OR", "AND_WITH_MATCHING_RESOURCE")
_COMPARISONS = ("COMPARISON_GT", "COMPARISON_LT")
_THRESHOLD = "conditionThreshold"
_KINDS = (
    _THRESHOLD,
    "conditionAbsent",
    "conditionMatchedLog",
    "conditionMonitoringQueryLanguage",
    "conditionPrometheusQueryLanguage",
    "conditionSql",
)
_POLICY_MEMBERS = frozenset(
    {
        "name",
        "displayName",
        "documentation",
        "userLabels",
        "conditions",
        "combiner",
        "enabled",
        "validity",
        "notificationChannels",
        "creationRecord",
        "mutationRecord",
        "alertStrategy",
        "severity",
    }
)
_CHANNEL_MEMBERS = frozenset(
    {
        "name",
        "type",
        "displayName",
        "description",
        "labels",
        "userLabels",
        "verificationStatus",
        "enabled",
        "creationRecord",
        "mutationRecords",
    }
)
_LONGEST_NAME = 512
_LONGEST_FILTER = 2048
_MINUTE = 60.0


class Kept:
    """The documents of one collection of the project."""

    def __init__(self, emulator: GcpEmulator, collection: str, check: Callable[[Mapping[str, Any]], None]) -> None:
        self.collection = collection
        self._emulator = emulator
        self._check = check
        self._table: Table[dict[str, Any]] = Table(emulator.clock, emulator.settings.list_lag)

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a new document; its name is made here."""
        self._check(body)
        name = f"projects/{self._emulator.project}/{self.collection}/{new_id()}"
        made = self._completed({**body, "name": name}, "creationRecord")
        self._table.add(name, made)
        return made

    def get(self, name: str) -> dict[str, Any]:
        """One document. NOT_FOUND where there is none."""
        found = self._table.get(self._named(name))
        if found is None:
            raise refusals.not_found(f"Cannot find {self.collection} {name}.")
        return found

    def listed(self) -> list[dict[str, Any]]:
        """All of them, in the order in which they were made."""
        return self._table.listed()

    def patch(self, name: str, body: Mapping[str, Any], mask: str) -> dict[str, Any]:
        """Replace a document, or the members that a mask names."""
        old = self.get(name)
        fields = [field.strip().partition(".")[0] for field in mask.split(",") if field.strip()]
        kept = {field: body[field] for field in fields if field in body} if fields else dict(body)
        dropped = set(fields) - set(body) if fields else set(old)
        new = {**{field: value for field, value in old.items() if field not in dropped}, **kept, "name": old["name"]}
        self._check(new)
        made = self._completed({**new, "creationRecord": old["creationRecord"]}, "mutationRecord")
        self._table.put(old["name"], made)
        return made

    def delete(self, name: str) -> dict[str, Any]:
        """Forget one. NOT_FOUND where there is none."""
        self._table.remove(self.get(name)["name"])
        return {}

    def _named(self, name: str) -> str:
        return self._emulator.place.owned(name)

    def _completed(self, document: dict[str, Any], record: str) -> dict[str, Any]:
        at = self._emulator.clock.now().isoformat().replace("+00:00", "Z")
        document = {**document, "enabled": document.get("enabled", True), record: {"mutateTime": at}}
        if self.collection == POLICIES:
            document["conditions"] = [
                {**each, "name": each.get("name") or f"{document['name']}/conditions/{new_id()}"}
                for each in document["conditions"]
            ]
        return document


def check_policy(policy: Mapping[str, Any]) -> None:
    """Refuse an AlertPolicy that breaks a rule."""
    _check_members(policy, _POLICY_MEMBERS, "alert_policy")
    if not 0 < len(policy.get("displayName", "")) <= _LONGEST_NAME:
        raise _invalid("alert_policy.display_name", "must have 1 to 512 characters.")
    if policy.get("combiner") not in _COMBINERS:
        raise _invalid("alert_policy.combiner", f"must be one of {', '.join(_COMBINERS)}.")
    conditions = policy.get("conditions") or []
    if not conditions:
        raise _invalid("alert_policy.conditions", "must hold at least one condition.")
    for number, condition in enumerate(conditions):
        _check_condition(condition, f"alert_policy.conditions[{number}]")


def check_channel(channel: Mapping[str, Any]) -> None:
    """Refuse a NotificationChannel that breaks a rule."""
    _check_members(channel, _CHANNEL_MEMBERS, "notification_channel")
    if not channel.get("type"):
        raise _invalid("notification_channel.type", "must be specified.")


def _check_condition(condition: Mapping[str, Any], field: str) -> None:
    _check_members(condition, frozenset({"name", "displayName", *_KINDS}), field)
    if not condition.get("displayName"):
        raise _invalid(f"{field}.display_name", "must be specified.")
    if sum(kind in condition for kind in _KINDS) != 1:
        raise _invalid(field, "must hold exactly one kind of condition.")
    if _THRESHOLD in condition:
        _check_threshold(condition[_THRESHOLD], f"{field}.condition_threshold")


def _check_threshold(threshold: Mapping[str, Any], field: str) -> None:
    text = threshold.get("filter", "")
    try:
        found = filters.read(text)
    except filters.BadFilter as exc:
        raise _invalid(f"{field}.filter", f"had an invalid value: {exc}.") from None
    if len(set(found.metrics)) != 1 or "resource.type" not in text or len(text) > _LONGEST_FILTER:
        raise _invalid(f"{field}.filter", "must specify a metric type and a resource type, in at most 2048 characters.")
    if threshold.get("comparison") not in _COMPARISONS:
        raise _invalid(f"{field}.comparison", f"must be one of {', '.join(_COMPARISONS)}.")
    duration = str(threshold.get("duration", ""))
    if not _is_minutes(duration):
        raise _invalid(f"{field}.duration", f"had an invalid value of {duration!r}: it must be a multiple of a minute.")


def _is_minutes(text: str) -> bool:
    try:
        return text.endswith("s") and float(text[:-1]) % _MINUTE == 0
    except ValueError:
        return False


def _check_members(document: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    for member in document:
        if member not in known:
            raise refusals.invalid_argument(
                f"Invalid JSON payload received. Unknown name \"{member}\" at '{where}': Cannot find field.", where
            )


def _invalid(field: str, what: str) -> Refusal:
    return refusals.invalid_argument(f"Field {field} {what}", field)
