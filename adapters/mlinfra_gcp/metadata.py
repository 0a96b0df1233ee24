"""What the kit keeps with a model version: marks that change as labels, everything else as a variable of its container.

Labels can be changed and searched, but hold 63 characters; a version's `metadata` needs a schema of its own. A variable
of the container never changes, like the version itself, and holds 128 KiB (API description of ModelContainerSpec.env).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlinfra.contract.requests import Document

MODEL, DIGEST = "mlinfra_model", "mlinfra_digest"  # labels of a version of the kit's
STAGE, APPROVAL = "mlinfra_stage", "mlinfra_approval"
RECORD = "MLINFRA_RECORD"
_DIGITS = 40  # of a digest, in a label
_LONGEST = 100_000  # characters
_EXPENDABLE = ("params", "inputs")  # of the lineage, should it be too long; the job's own record has them too


def digest_label(digest: str) -> str:
    """A digest as a label holds it: its first digits."""
    return digest.removeprefix("sha256:")[:_DIGITS]


def pack(record: Document) -> list[Document]:
    """The container's variable. A lineage that is too long loses parameters, then inputs, and says so."""
    text = _dumps(record)
    lineage = dict(record.get("lineage", {}))
    for name in _EXPENDABLE:
        if len(text) > _LONGEST and name in lineage:
            lineage[name] = {"too long": "see the job"}
            text = _dumps({**record, "lineage": lineage})
    return [{"name": RECORD, "value": text}]


def unpack(variables: Iterable[Mapping[str, Any]]) -> Document:
    """The record that `pack` wrote; empty for a version of another tool."""
    text = next((each.get("value", "") for each in variables if each.get("name") == RECORD), "")
    try:
        record: Any = json.loads(text) if text else {}
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _dumps(record: Document) -> str:
    return json.dumps(record, separators=(",", ":"), sort_keys=True)
