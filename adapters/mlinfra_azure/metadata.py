"""What the kit keeps with a model version: marks that change as tags, everything else as properties, which never do.

Tags and properties hold texts of a thousand characters (the vendor's guide on limits), so the record is cut.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.requests import Document

ENVIRONMENT, MODEL, DIGEST = "mlinfra_environment", "mlinfra_model", "mlinfra_digest"  # properties of a version
STAGE, APPROVAL = "mlinfra_stage", "mlinfra_approval"  # tags
ALIAS = "alias:"
RECORD = "mlinfra_record_"
_LONGEST = 1_000  # characters of a value
_MOST_PARTS = 40
_EXPENDABLE = ("params", "inputs")  # of the lineage, should it be too long; the job's own record has them too


def pack(record: Document) -> dict[str, str]:
    """The properties of a new version. A lineage that is too long loses parameters, then inputs, and says so."""
    lineage = dict(record.get("lineage", {}))
    parts = _parts(record)
    for name in _EXPENDABLE:
        if len(parts) > _MOST_PARTS and name in lineage:
            lineage[name] = {"too long": "see the job"}
            parts = _parts({**record, "lineage": lineage})
    return {f"{RECORD}{number}": part for number, part in enumerate(parts)}


def unpack(properties: Mapping[str, str]) -> Document:
    """The record that `pack` wrote; empty for a version of another tool."""
    parts: list[str] = []
    while (part := properties.get(f"{RECORD}{len(parts)}")) is not None:
        parts.append(part)
    try:
        record: Any = json.loads("".join(parts)) if parts else {}
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def aliases(tags: Mapping[str, str]) -> tuple[str, ...]:
    """The aliases on a version, sorted."""
    return tuple(sorted(name.removeprefix(ALIAS) for name in tags if name.startswith(ALIAS)))


def others(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that are not the kit's own marks."""
    return {name: value for name, value in tags.items() if name not in {STAGE, APPROVAL} and not name.startswith(ALIAS)}


def _parts(record: Document) -> list[str]:
    text = json.dumps(record, separators=(",", ":"), sort_keys=True)
    return [text[start : start + _LONGEST] for start in range(0, len(text), _LONGEST)]
