"""Resources of Microsoft.Insights that are kept and told: autoscale settings, metric alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

from mlinfra.emulator.azure.monitoring.shapes import read
from mlinfra.emulator.azure.names import own
from mlinfra.emulator.azure.operations import Reply
from mlinfra.emulator.azure.wire import refusals
from mlinfra.emulator.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.operations import Request

S = TypeVar("S", bound=BaseModel)

_TAGGED = "mlinfra"


class Kept(Generic[S]):
    """The resources of one type, by their ids in lower case. `shape` is what their properties look like."""

    def __init__(
        self,
        emulator: AzureEmulator,
        kind: str,
        shape: type[S],
        check: Callable[[str, S], None] = lambda _id, _properties: None,
    ) -> None:
        """`check` gets the id and the properties of what is about to be kept, and may refuse it."""
        self._emulator = emulator
        self._kind = kind
        self._shape = shape
        self._check = check
        self._table: Table[dict[str, Any]] = Table(emulator.clock, emulator.settings.list_lag)

    def every(self) -> list[tuple[str, S]]:
        """Every one: its id and what it says."""
        return [(each["id"], self._shape.model_validate(each["properties"])) for each in self._table.values()]

    def get(self, request: Request) -> dict[str, Any]:
        """One document."""
        return self._found(request.id)

    def list_(self, request: Request) -> dict[str, Any]:
        """Those of a resource group, or of the subscription."""
        within = request.id.partition("/providers/")[0].lower()
        return {"value": [each for each in self._table.listed() if each["id"].lower().startswith(f"{within}/")]}

    def put(self, request: Request) -> Reply:
        """Make or replace one."""
        body = request.body
        if not body.get("location"):
            raise refusals.refusal("LocationRequired", "The location property is required for this definition.")
        properties = read(self._shape, body.get("properties"))
        self._check(request.id, properties)
        with self._table.lock:
            created = request.id.lower() not in self._table
            document = {
                "id": request.id,
                "name": own(request.id),
                "type": self._kind,
                "location": body["location"],
                "tags": body.get("tags") or {},
                "properties": body["properties"],
            }
            self._table.put(request.id.lower(), document)
        return Reply(document, 201 if created else 200)

    def patch(self, request: Request) -> dict[str, Any]:
        """Change tags and properties of one."""
        before = self._found(request.id)
        properties = {**before["properties"], **(request.body.get("properties") or {})}
        self._check(request.id, read(self._shape, properties))
        tags = request.body.get("tags")
        document = {**before, "properties": properties, "tags": before["tags"] if tags is None else tags}
        self._table.put(request.id.lower(), document)
        return document

    def delete(self, request: Request) -> Reply:
        """Remove one; nothing where there is none."""
        return Reply(None, 200 if self._table.remove(request.id.lower()) else 204)

    def found(self, name: str) -> S:
        """What one says, by its id. Refusal where there is none."""
        return self._shape.model_validate(self._found(name)["properties"])

    def leftovers(self) -> list[str]:
        """The ids of those that carry the kit's tags."""
        return [each["id"] for each in self._table.values() if any(tag.startswith(_TAGGED) for tag in each["tags"])]

    def _found(self, name: str) -> dict[str, Any]:
        found = self._table.get(name.lower())
        if found is None:
            raise refusals.resource_not_found(name)
        return found
