from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from mlinfra.contract.store import ObjectInfo
from mlinfra.engine.pauses import TRIES
from mlinfra.engine.stores import PatientStore
from mlinfra.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator


class Shaky:
    """A store in memory whose calls fail before or after their effect, as the script says."""

    def __init__(self, *script: str) -> None:
        self.script = list(script)
        self.objects: dict[str, bytes] = {}
        self.calls = 0

    def put(self, key: str, content: bytes, *, if_absent: bool = False, if_match: str | None = None, **_: Any) -> Any:
        fate = self._next()
        if fate == "before":
            self._end(fate)
        if (if_absent and key in self.objects) or (if_match and self._etag(key) != if_match):
            raise Conflict("the condition does not hold", given=key)
        self.objects[key] = content
        self._end(fate)
        return self._info(key)

    def get(self, key: str) -> bytes:
        self._end(self._next())
        return self.objects[key]

    def head(self, key: str) -> ObjectInfo | None:
        self._end(self._next())
        return self._info(key) if key in self.objects else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        for key in sorted(self.objects):
            self._end(self._next())
            if key.startswith(prefix):
                yield self._info(key)

    def _next(self) -> str:
        self.calls += 1
        return self.script.pop(0) if self.script else ""

    def _end(self, fate: str) -> None:
        if fate:
            raise Unavailable("no answer", given="the store", sent=fate == "after")

    def _etag(self, key: str) -> str:
        return self.objects[key].hex()

    def _info(self, key: str) -> ObjectInfo:
        return ObjectInfo(key, len(self.objects[key]), self._etag(key), datetime(2026, 1, 1, tzinfo=UTC))


def patient(store: Shaky) -> PatientStore:
    clock = SimpleNamespace(sleep=lambda _: None)
    return PatientStore(cast("Any", store), cast("Any", clock), lambda _: None)


def test_what_fails_for_the_time_being_is_done_again():
    store = Shaky("before", "after", "before")
    patient(store).put("a", b"1")
    assert (store.objects, store.calls) == ({"a": b"1"}, 4)


def test_patience_ends():
    store = Shaky(*["before"] * (2 * TRIES))
    with pytest.raises(Unavailable):
        patient(store).get("a")
    assert store.calls == TRIES


def test_a_condition_that_our_own_lost_answer_broke_counts_as_held():
    store = Shaky("after")
    assert patient(store).put("a", b"1", if_absent=True).etag == b"1".hex()
    store.script = ["after"]
    assert patient(store).put("a", b"2", if_match=b"1".hex()).etag == b"2".hex()


@pytest.mark.parametrize("script", [[], ["before"], ["after"]])
def test_a_condition_that_somebody_else_broke_is_a_conflict(script: list[str]):
    store = Shaky(*script)
    store.objects["a"] = b"theirs"
    with pytest.raises(Conflict):
        patient(store).put("a", b"ours", if_absent=True)
    assert store.objects["a"] == b"theirs"


def test_the_same_bytes_by_somebody_else_are_a_conflict_where_we_have_sent_nothing():
    store = Shaky("before")
    store.objects["a"] = b"1"
    with pytest.raises(Conflict):
        patient(store).put("a", b"1", if_absent=True)


def test_a_listing_goes_on_where_it_failed():
    store = Shaky("", "", "before", "", "", "before")
    store.objects = {f"p/{number}": b"" for number in range(5)}
    assert [info.key for info in patient(store).list("p/")] == [f"p/{number}" for number in range(5)]
