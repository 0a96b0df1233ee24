"""SageMaker's data capture as the record that the kit's own server would have written.

A line holds `captureData.endpointInput` and `.endpointOutput`, each with `data`, `encoding` and
`observedContentType`, and `eventMetadata` with `eventId` and `inferenceTime`. A file lies at
`<destination>/<endpoint>/<variant>/yyyy/mm/dd/hh/<name>.jsonl` (SageMaker's guide on capturing data).
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlinfra.contract.requests import Document

_BELOW = 6  # parts of a key from the variant on
_DIGITS = 7  # of the environment, with the dash, at the end of an endpoint's name


def capture(record: Document, key: str) -> Document:
    """A record of SageMaker's; one of the kit's own stays as it is.

    The model's digest is not told. Rows are told where they were asked for as the kit asks, as JSON; a record without
    predictions is a refusal.
    """
    if "captureData" not in record:
        return record
    data, about = record["captureData"], record.get("eventMetadata", {})
    physical, variant = _place(key)
    asked, answered = _json(data.get("endpointInput")), _json(data.get("endpointOutput"))
    predictions = answered.get("predictions") if isinstance(answered, dict) else None
    return {
        "id": about.get("eventId", ""),
        "time": about.get("inferenceTime", ""),
        "endpoint": physical[:-_DIGITS],
        "deployment": _deployment(key, variant),
        "input": asked.get("instances") if isinstance(asked, dict) else asked if isinstance(asked, list) else None,
        **({"output": predictions} if predictions is not None else {"rejection": _rejection(answered)}),
    }


def _place(key: str) -> tuple[str, str]:
    """The endpoint and the variant that a file's address names."""
    parts = key.split("/")
    return (parts[-_BELOW - 1], parts[-_BELOW]) if len(parts) > _BELOW else ("", "")


def _deployment(key: str, variant: str) -> str:
    """A variant bears its deployment's name, unless the address says that it serves another."""
    renamed = (part.partition("=") for part in key.split("/"))
    return next((deployment for name, sign, deployment in renamed if sign and name == variant), variant)


def _json(side: Document | None) -> Any:
    if not side:
        return None
    text = side.get("data", "")
    try:
        return json.loads(base64.b64decode(text) if side.get("encoding") == "BASE64" else text)
    except ValueError:
        return None


def _rejection(answered: Any) -> Document:
    error = answered.get("error") if isinstance(answered, dict) else None
    return error if isinstance(error, dict) else {"message": str(error or "no predictions")}
