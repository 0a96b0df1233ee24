"""Ask captured questions again and compare the answers bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from mlinfra.errors import MlinfraError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlinfra.modelkit import Predictor


@dataclass(frozen=True)
class Difference:
    """A record whose answer could not be repeated: the reason, and both answers where there are two."""

    id: str
    reason: str
    captured: Any = None
    replayed: Any = None


def replay(records: Iterable[dict[str, Any]], predictor: Predictor) -> list[Difference]:
    """The records whose answers differ, or cannot be repeated: other model, masked columns.

    Each record is asked with its own rows together, since the size of a batch may change a bit. Rejections
    hold no question to the model and are passed over.
    """
    found = (_difference(record, predictor) for record in records if "output" in record)
    return [difference for difference in found if difference is not None]


def _difference(record: dict[str, Any], predictor: Predictor) -> Difference | None:
    identity, captured = str(record.get("id")), record["output"]
    reason = _hindrance(record, predictor)
    if reason:
        return Difference(identity, reason, captured)
    try:
        replayed = predictor.predict(_rows(record["input"], predictor))
    except (MlinfraError, ValueError, TypeError) as exc:
        return Difference(identity, f"the model refuses the rows now: {exc}", captured)
    if orjson.dumps(replayed) == orjson.dumps(captured):
        return None
    return Difference(identity, "another answer", captured, orjson.loads(orjson.dumps(replayed)))


def _hindrance(record: dict[str, Any], predictor: Predictor) -> str:
    if record.get("masked"):
        return f"cannot be repeated: {', '.join(record['masked'])} were masked"
    digest = predictor.manifest.digest
    if record.get("model_digest") != digest:
        return f"captured from another model, {record.get('model_digest')}"
    return ""


def _rows(captured: list[Any], predictor: Predictor) -> list[Any]:
    schema = predictor.manifest.schema
    return schema.check(captured).rows if schema else captured
