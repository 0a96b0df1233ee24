"""Tags of everything in SageMaker, by ARN: AddTags, DeleteTags, ListTags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.operations import Operation
from mlinfra.emulator.aws.paging import page
from mlinfra.emulator.aws.wire import refusals
from mlinfra.emulator.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.operations import Request

_MOST = 50  # tags of one resource: the maximum of the description's TagList
_PAGE = 100


class Tags:
    """The tags of each resource. A resource is known from `put` to `drop`, with or without tags. Thread-safe."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self._table: Table[tuple[str, dict[str, str]]] = Table(emulator.clock, emulator.settings.list_lag)

    @staticmethod
    def check(tags: Iterable[Mapping[str, str]]) -> None:
        """Refuse `Tags` of a creation in which a key is there twice."""
        keys = [tag["Key"] for tag in tags]
        if len(set(keys)) < len(keys):
            raise refusals.validation("Duplicate tag keys found. Please note that tag keys are case insensitive.")

    def put(self, arn: str, tags: Iterable[Mapping[str, str]] = ()) -> None:
        """Make a resource known, with the `Tags` of its creation. Refuses as `check` does."""
        given = [*tags]
        self.check(given)
        self._table.put(arn, (arn, {tag["Key"]: tag["Value"] for tag in given}))

    def drop(self, arn: str) -> None:
        """Forget a resource that is gone. Safe to repeat."""
        self._table.remove(arn)

    def of(self, arn: str) -> dict[str, str]:
        """A resource's tags; none where it is not known."""
        found = self._table.get(arn)
        return dict(found[1]) if found else {}

    def listed(self) -> list[tuple[str, dict[str, str]]]:
        """Every resource with its tags, as lists show them."""
        return [(arn, dict(tags)) for arn, tags in self._table.listed()]

    def add(self, request: Request) -> dict[str, Any]:
        """AddTags: beside those that are there, in the place of those with the same keys."""
        with self._table.lock:
            known = self._known(request.body["ResourceArn"])
            merged = known | {tag["Key"]: tag["Value"] for tag in request.body["Tags"]}
            if len(merged) > _MOST:
                raise refusals.limit_exceeded("Tags per resource", _MOST, len(known), len(request.body["Tags"]), "Tags")
            known.update(merged)
            return {"Tags": _documents(known)}

    def delete(self, request: Request) -> dict[str, Any]:
        """DeleteTags: keys that are not there are left."""
        with self._table.lock:
            known = self._known(request.body["ResourceArn"])
            for key in request.body["TagKeys"]:
                known.pop(key, None)
        return {}

    def listing(self, request: Request) -> dict[str, Any]:
        """ListTags, in pages."""
        with self._table.lock:
            documents = _documents(self._known(request.body["ResourceArn"]))
        return page("Tags", documents, request.body, most=_PAGE)

    def _known(self, arn: str) -> dict[str, str]:
        found = self._table.get(arn)
        if found is None:
            raise refusals.could_not_find("resource", arn)
        return found[1]


def _documents(tags: Mapping[str, str]) -> Any:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _resource(body: Mapping[str, Any]) -> str:
    return str(body.get("ResourceArn", "*"))


def _add(emulator: AwsEmulator, request: Request) -> dict[str, Any]:
    return emulator.tags.add(request)


def _delete(emulator: AwsEmulator, request: Request) -> dict[str, Any]:
    return emulator.tags.delete(request)


def _list(emulator: AwsEmulator, request: Request) -> dict[str, Any]:
    return emulator.tags.listing(request)


OPERATIONS = (
    Operation("AddTags", _add, _resource),
    Operation("DeleteTags", _delete, _resource),
    Operation("ListTags", _list, _resource),
)
