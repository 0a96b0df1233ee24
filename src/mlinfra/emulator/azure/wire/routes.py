"""Paths of ARM: which operation answers one, and the path as resource ids are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlinfra.emulator.azure.names import Place
    from mlinfra.emulator.azure.operations import Operation

_PARAMETER = re.compile(r"\{(\w+)\}")
_SPELLED = {"resourcegroups", "workspaces"}  # types whose names are kept in one spelling
_GROUPED = {"resourceGroupName", "workspaceName"}  # and what templates call these names
# Types and providers that ids name and no template does.
_WORDS = (
    "Microsoft.ContainerRegistry",
    "Microsoft.KeyVault",
    "Microsoft.Storage",
    "storageAccounts",
    "blobServices",
    "containers",
    "vaults",
)
_WHOLE = "scope"  # the one parameter that may hold slashes: what an extension resource is attached to


class Match(NamedTuple):
    """An operation, the path as ids are kept, and what the template names."""

    operation: Operation
    id: str
    parts: dict[str, str]


@dataclass(frozen=True)
class _Route:
    operation: Operation
    pattern: re.Pattern[str]


class Routes:
    """All operations of ARM, by method and path. The case of what a template writes out does not count."""

    def __init__(self, operations: Iterable[Operation], place: Place) -> None:
        self._place = place
        self._routes: dict[str, list[_Route]] = {}
        self._words = {word.lower(): word for word in _WORDS}
        for each in operations:
            self._routes.setdefault(each.method, []).append(_Route(each, _compiled(each.path)))
            self._words |= {word.lower(): word for word in each.path.split("/") if not word.startswith("{")}

    def match(self, method: str, path: str) -> Match | None:
        """What answers; None where nothing that is emulated does. What names no scope of its own goes first."""
        found = [(route, route.pattern.fullmatch(path)) for route in self._routes.get(method, ())]
        hits = [(route, hit) for route, hit in found if hit]
        if not hits:
            return None
        route, hit = min(hits, key=lambda each: _WHOLE in each[1].groupdict())
        parts = self._kept(hit.groupdict())
        return Match(route.operation, _PARAMETER.sub(lambda each: parts[each[1]], route.operation.path), parts)

    def resource_id(self, text: str) -> str:
        """A resource id as ids are kept here: with the names of types, groups and workspaces as they are written."""
        parts = text.strip("/").split("/")
        found: list[str] = []
        for word, name in zip_longest(parts[::2], parts[1::2]):  # "providers" and a provider are a pair too
            found.append(self._words.get(word.lower(), word))
            if name is not None:
                found.append(self._spelled(word.lower(), name))
        return "/" + "/".join(found)

    def _spelled(self, word: str, name: str) -> str:
        """The name of a resource of a type, or of a provider."""
        if word == "subscriptions":
            return name.lower()
        if word == "providers":
            return self._words.get(name.lower(), name)
        return self._place.spelled(name) if word in _SPELLED else name

    def _kept(self, parts: dict[str, str]) -> dict[str, str]:
        """The parts as they are written here where only the case differs."""
        kept = {name: self._place.spelled(text) if name in _GROUPED else text for name, text in parts.items()}
        if "subscriptionId" in kept:
            kept["subscriptionId"] = kept["subscriptionId"].lower()
        if kept.get("location", "").lower() == self._place.region:
            kept["location"] = self._place.region
        if _WHOLE in kept:
            kept[_WHOLE] = self.resource_id(kept[_WHOLE]).removeprefix("/")
        return kept


def _compiled(template: str) -> re.Pattern[str]:
    parts = _PARAMETER.split(template)  # text, name, text, name, …
    texts = [
        re.escape(part) if number % 2 == 0 else f"(?P<{part}>{'.+?' if part == _WHOLE else '[^/]+'})"
        for number, part in enumerate(parts)
    ]
    return re.compile("".join(texts) + "/?", re.IGNORECASE)
