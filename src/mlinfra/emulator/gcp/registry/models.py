"""Models and their versions: all that is kept of them, and how versions are found, changed and removed."""

from __future__ import annotations

import re
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple

from google.cloud.aiplatform_v1 import types

from mlinfra.emulator.gcp.registry.records import DEFAULT, Record, Version
from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlinfra.emulator.gcp.emulator import GcpEmulator

_NAME = re.compile(r"(?P<name>projects/[^/]+/locations/[^/]+/models/[^/@]+)(?:@(?P<which>[^/@]*))?")


class Asked(NamedTuple):
    """A model's name as a request has it: the model, and which version, by id or alias; empty for none."""

    name: str
    which: str


class Models:
    """All models of one emulator. Thread-safe."""

    def __init__(self, emulator: GcpEmulator) -> None:
        self._emulator = emulator
        self.lock = RLock()
        self.records: Table[Record] = Table(emulator.clock, emulator.settings.list_lag)

    def asked(self, name: str) -> Asked:
        """The parts of a name.

        Raises:
            Refusal: INVALID_ARGUMENT, it is none of a model, or of another project or region.
        """
        found = _NAME.fullmatch(name)
        if found is None:
            raise refusals.invalid_argument(f"Invalid Model name: {name}.", "name")
        return Asked(self._emulator.place.resolve(found["name"]), found["which"] or "")

    def record(self, name: str) -> Record:
        """A model by its name as the service tells it.

        Raises:
            Refusal: NOT_FOUND.
        """
        found = self.records.get(name)
        if found is None:
            raise refusals.not_found(f"The Model {name}")
        return found

    def version(self, name: str) -> types.Model:
        """A model at the version that its name tells, `…/models/x@2` or `…@champion`; without one at its default.

        Raises:
            Refusal: there is none.
        """
        asked = self.asked(name)
        record = self.record(asked.name)
        return self.told(record, record.find(asked.which), versioned=bool(asked.which))

    def told(self, record: Record, version: Version, *, versioned: bool = False) -> types.Model:
        """The model as the service tells it, with the deployments of that version."""
        message = record.told(version, versioned=versioned)
        message.deployed_models = [
            types.DeployedModelRef(endpoint=endpoint, deployed_model_id=own)
            for endpoint, own in self.deployed(record, version)
        ]
        return message

    def deployed(self, record: Record, version: Version) -> list[tuple[str, str]]:
        """Where a version is deployed: endpoints, and the ids of the deployments there."""
        found: list[tuple[str, str]] = self._emulator.endpoints.deployed(f"{record.name}@{version.id}")
        return found

    def put(self, name: str, message: types.Model) -> Version:
        """Add a version to a model, which is made where it is not there yet."""
        with self.lock:
            clock = self._emulator.clock
            now = clock.now()
            record = self.records.get(name)
            if record is None:
                record = Record.of(name, message, now, Table(clock, self.records.lag))
                self.records.add(name, record)
            return record.add(message, now)

    def change(self, asked: Asked, message: types.Model, paths: Sequence[str]) -> types.Model:
        """Set what a mask names, of the model or of one of its versions.

        Raises:
            Refusal: INVALID_ARGUMENT, FAILED_PRECONDITION, NOT_FOUND or ABORTED; nothing was changed.
        """
        with self.lock:
            record = self.record(asked.name)
            if message.etag and message.etag != record.etag:
                raise refusals.aborted(f"The etag {message.etag} does not match that of Model {record.name}.")
            of_version = asked.which not in {"", "-"}
            version = record.find(asked.which if of_version else "")
            members = _VERSION if of_version else _MODEL
            tops = {path.partition(".")[0] for path in paths}
            _check_paths(tops, members, _MODEL | _VERSION)
            now = self._emulator.clock.now()
            if of_version:
                _change_version(version, message, paths, tops)
                version.updated = now
            else:
                _change_model(record, message, paths, tops)
            record.touch(now)
            return self.told(record, version, versioned=of_version)

    def merge(self, asked: Asked, aliases: Sequence[str]) -> types.Model:
        """Add aliases to a version, and take those away that begin with a dash. The etag stays as it is.

        Raises:
            Refusal: INVALID_ARGUMENT, the default version would be none; or NOT_FOUND. Nothing was changed.
        """
        with self.lock:
            record = self.record(asked.name)
            version = record.find(asked.which)
            added = {alias for alias in aliases if not alias.startswith("-")}
            removed = {alias[1:] for alias in aliases if alias.startswith("-")}
            cancelled = added & removed
            if DEFAULT in removed - cancelled and record.aliases.get(DEFAULT) == version.id:
                raise refusals.invalid_argument(
                    "The default alias cannot be removed from a version; assign it to another version instead.",
                    "version_aliases",
                )
            gone = {alias for alias in removed - cancelled if record.aliases.get(alias) == version.id}
            kept = {alias: which for alias, which in record.aliases.items() if alias not in gone}
            record.aliases = {**kept, **dict.fromkeys(added - cancelled, version.id)}
            version.updated = self._emulator.clock.now()
            return self.told(record, version, versioned=True)

    def leftovers(self) -> list[str]:
        """Names of the models that are still there."""
        return [each.name for each in self.records.values()]


_MODEL = frozenset({"display_name", "description", "labels"})
_VERSION = frozenset({"version_description", "labels"})


def _check_paths(tops: set[str], allowed: frozenset[str], known: frozenset[str]) -> None:
    others = sorted(tops - allowed)
    if not others:
        return
    if set(others) <= known:
        raise refusals.failed_precondition(
            f"Fields {', '.join(others)} do not belong to what the name tells: update model and version separately."
        )
    raise refusals.invalid_argument(f"Fields {', '.join(others)} cannot be updated.", "update_mask")


def _change_model(record: Record, message: types.Model, paths: Sequence[str], tops: set[str]) -> None:
    if "display_name" in tops:
        record.display_name = message.display_name
    if "description" in tops:
        record.description = message.description
    record.labels = _labels(record.labels, message, paths)


def _change_version(version: Version, message: types.Model, paths: Sequence[str], tops: set[str]) -> None:
    if "version_description" in tops:
        version.message.version_description = message.version_description
    version.message.labels = _labels(dict(version.message.labels), message, paths)


def _labels(before: dict[str, str], message: types.Model, paths: Sequence[str]) -> dict[str, str]:
    """Labels after an update: all of them anew, or single ones, `labels.stage`."""
    given = dict(message.labels)
    after = dict(before)
    for path in paths:
        top, _, key = path.partition(".")
        if top == "labels" and not key:
            after = dict(given)
        elif top == "labels" and key in given:
            after[key] = given[key]
        elif top == "labels":
            after.pop(key, None)
    return after
