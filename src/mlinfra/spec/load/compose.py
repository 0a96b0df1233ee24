"""From YAML events to documents with positions, bounded in size and depth after aliases are expanded."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from mlinfra.errors import Problem, shorten
from mlinfra.spec.findings import Loc, dotted
from mlinfra.spec.limits import MAX_DEPTH, MAX_INTEGER, MAX_NODES
from mlinfra.spec.load.events import Event, Unreadable, events
from mlinfra.spec.load.resolve import resolve
from mlinfra.spec.positions import Mark, Place, Positions
from mlinfra.spec.scalars import UnclearNumber


@dataclass(frozen=True)
class Document:
    """One document of a file."""

    value: Any
    positions: Positions


def compose(text: str, file: str) -> tuple[list[Document], list[Problem]]:
    """The documents that can be read, and every problem of form. Empty documents are left out."""
    composer = _Composer(file)
    documents: list[Document] = []
    try:
        for document in composer.documents(events(text, file)):
            documents.append(document)  # noqa: PERF402  # what was read before an error is kept
    except Unreadable as unreadable:
        composer.problems.append(unreadable.problem)
    return documents, composer.problems


class _Fault(NamedTuple):
    what: str
    allowed: str
    todo: str


_LARGE: Final = _Fault(
    "more than a spec may hold, aliases expanded", f"at most {MAX_NODES} keys and values", "split the file"
)
_DEEP: Final = _Fault("nested too deeply", f"at most {MAX_DEPTH} levels", "flatten it")
_DANGLING: Final = _Fault(
    "an alias of nothing", "an alias of what stands complete before it", "define it with &, or put it in quotes"
)
_TAG: Final = _Fault("a tag", "values without tags", "remove it; quotes make a text")
_INFINITE: Final = _Fault("not a finite number", "finite numbers", "leave it out, or put it in quotes if it is text")
_LONG: Final = _Fault("beyond 64 bits", "integers of 64 bits", "put it in quotes if it is text")
_KEY: Final = _Fault("a key that is not text", "text, or a whole number in overrides", "put the key in quotes")
_MERGE_KEY: Final = _Fault("a merge key, which YAML 1.2 does not have", "keys of the spec", "write the keys out")


class _Node(NamedTuple):
    """A value with what it costs: how many nodes, how many levels."""

    value: Any
    nodes: int = 1
    levels: int = 0


class _Composer:
    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._nodes = 0
        self._anchors: dict[str, _Node] = {}
        self._positions = Positions(file)
        self._events: Iterator[Event] = iter(())

    def documents(self, stream: Iterator[Event]) -> Iterator[Document]:
        self._events = stream
        for _ in stream:  # the beginning of a document: all that follows is consumed below it
            self._anchors.clear()
            self._positions = Positions(self.file)
            value = self._node(next(stream), ()).value
            if value is not None:
                yield Document(value, self._positions)

    def _node(self, event: Event, loc: Loc, key: Mark | None = None) -> _Node:
        text = (event.text if event.plain else f'"{event.text}"') if event.kind == "scalar" else None
        self._positions.places[loc] = Place(event.mark, key or event.mark, text)
        if event.tag is not None:
            self._add(_TAG, event.mark, loc, event.tag)
        node = self._content(event, loc)
        self._nodes += node.nodes if event.kind == "alias" else 1
        if self._nodes > MAX_NODES:
            raise self._stop(_LARGE, event.mark)
        if event.anchor and event.kind != "alias":
            self._anchors[event.anchor] = node
        return node

    def _content(self, event: Event, loc: Loc) -> _Node:
        if event.kind == "scalar":
            return _Node(self._scalar(event, loc))
        if event.kind == "alias":
            return self._alias(event, loc)
        if len(loc) >= MAX_DEPTH:
            raise self._stop(_DEEP, event.mark)
        return self._list(loc) if event.kind == "list" else self._map(loc)

    def _alias(self, event: Event, loc: Loc) -> _Node:
        node = self._anchors.get(event.anchor or "")
        if node is None:
            raise self._stop(_DANGLING, event.mark, f"*{event.anchor}")
        if len(loc) + node.levels > MAX_DEPTH:
            raise self._stop(_DEEP, event.mark)
        return node

    def _scalar(self, event: Event, loc: Loc) -> object:
        value = resolve(event.text) if event.plain else event.text
        if isinstance(value, float) and not math.isfinite(value):
            self._add(_INFINITE, event.mark, loc, event.text)
        elif isinstance(value, int) and abs(value) > MAX_INTEGER:
            self._add(_LONG, event.mark, loc, event.text)
        return value

    def _list(self, loc: Loc) -> _Node:
        nodes: list[_Node] = []
        while (event := next(self._events)).kind != "end":
            nodes.append(self._node(event, (*loc, len(nodes))))
        return _combined([node.value for node in nodes], nodes)

    def _map(self, loc: Loc) -> _Node:
        values: dict[str, Any] = {}
        nodes: list[_Node] = []
        while (event := next(self._events)).kind != "end":
            key = self._key(event, loc)
            inner = (*loc, event.text)
            if key in values:
                line = self._positions.mark(inner, at_key=True).line
                fault = _Fault(f"a duplicate of the key in line {line}", "each key once", "remove one of them")
                self._add(fault, event.mark, inner, event.text)
                inner = (*loc, f"{key} (again)")  # the first one keeps its place
            nodes.append(self._node(next(self._events), inner, event.mark))
            if key is not None:
                values.setdefault(key, nodes[-1].value)
        return _combined(values, nodes)

    def _key(self, event: Event, loc: Loc) -> str | None:
        """The key as text, a whole number by its digits; None where it cannot be a key."""
        meaning = resolve(event.text) if event.plain else event.text
        if event.kind != "scalar":
            self._node(event, (*loc, "?"))
            self._add(_KEY, event.mark, loc, "a list, a mapping or an alias")
        elif event.plain and event.text == "<<":
            self._add(_MERGE_KEY, event.mark, loc, event.text)
        elif meaning is None or isinstance(meaning, (bool, float, UnclearNumber)):
            self._add(_KEY, event.mark, loc, event.text or "nothing")
        else:
            return event.text
        return None

    def _add(self, fault: _Fault, mark: Mark, loc: Loc, given: str) -> None:
        self.problems.append(
            Problem(fault.what, dotted(loc), self.file, *mark, shorten(given), fault.allowed, fault.todo)
        )

    def _stop(self, fault: _Fault, mark: Mark, given: str = "") -> Unreadable:
        return Unreadable(Problem(fault.what, "", self.file, *mark, shorten(given), fault.allowed, fault.todo))


def _combined(value: Any, nodes: list[_Node]) -> _Node:
    levels = 1 + max((node.levels for node in nodes), default=0)
    return _Node(value, 1 + sum(node.nodes for node in nodes), levels)
