"""Extract what the Google Cloud adapter knows of the vendor: the shapes of the requests that it sends.

Source: the protobuf descriptors in google-cloud-aiplatform. They do not say which fields are required or written by the
service alone; the documentation of the same classes does, and is read for that. `--check` compares what is kept with
what they say now.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "adapters" / "mlinfra_gcp" / "schema.json"

# Service -> its operations; `<operation>Request` is the message of each.
OPERATIONS = {
    "JobService": ("CreateCustomJob", "GetCustomJob", "ListCustomJobs", "CancelCustomJob", "DeleteCustomJob"),
    "ModelService": (
        "UploadModel",
        "GetModel",
        "ListModels",
        "ListModelVersions",
        "UpdateModel",
        "MergeVersionAliases",
        "DeleteModelVersion",
        "DeleteModel",
    ),
    "EndpointService": (
        "CreateEndpoint",
        "GetEndpoint",
        "ListEndpoints",
        "UpdateEndpoint",
        "DeleteEndpoint",
        "DeployModel",
        "UndeployModel",
        "MutateDeployedModel",
    ),
    "PredictionService": ("RawPredict",),
}
# google.longrunning.Operations, which every service of Vertex AI answers; its messages are no part of aiplatform_v1.
LONG_RUNNING = {
    "GetOperation": {"name": {"type": "string"}},
    "ListOperations": {
        "name": {"type": "string"},
        "filter": {"type": "string"},
        "pageSize": {"type": "integer"},
        "pageToken": {"type": "string"},
    },
    "CancelOperation": {"name": {"type": "string"}},
    "DeleteOperation": {"name": {"type": "string"}},
}
SCALARS = {  # protobuf's field types, by number
    1: {"type": "number"},
    2: {"type": "number"},
    3: {"type": "integer"},
    4: {"type": "integer"},
    5: {"type": "integer"},
    8: {"type": "boolean"},
    9: {"type": "string"},
    12: {"type": "string"},  # base64, as in JSON
    13: {"type": "integer"},
}
WELL_KNOWN = {  # as JSON writes them
    "google.protobuf.Timestamp": {"type": "string"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Any": {"type": "object"},
    "google.protobuf.BoolValue": {"type": "boolean"},
    "google.api.HttpBody": {
        "type": "object",
        "properties": {"contentType": {"type": "string"}, "data": {"type": "string"}},  # the bytes as base64
        "additionalProperties": False,
    },
}
STRING, MESSAGE, ENUM = 9, 11, 14
_PARTIAL = ".partial"
LONGEST = re.compile(r"(?:up to|at most|no more than|exceed) (\d+) (?:UTF-8 )?characters")
MOST = re.compile(r"Maximum limit is (\d+)")
ENTRY = re.compile(r"^ {8}(\w+) \([^\n]*\):\n((?: {12}[^\n]*\n|\s*\n)+)", re.MULTILINE)


def main() -> None:
    """Write the file; with `--check` compare it."""
    made = schema()
    if "--check" in sys.argv[1:]:
        stale = not SCHEMA.is_file() or SCHEMA.read_text() != made
        sys.exit(f"{SCHEMA}: stale; run python tools/schemas/gcp.py" if stale else 0)
    SCHEMA.write_text(made)


def schema() -> str:
    """Operations and messages, as JSON Schema."""
    from google.cloud.aiplatform_v1 import types  # noqa: PLC0415  only where a file is made anew

    definitions: dict[str, Any] = {}
    services = {
        service: {name: _define(getattr(types, f"{name}Request"), definitions) for name in sorted(names)}
        for service, names in OPERATIONS.items()
    }
    services["Operations"] = {
        name: {"type": "object", "properties": fields, "additionalProperties": False, "required": ["name"]}
        for name, fields in LONG_RUNNING.items()
    }
    document = {
        "source": f"google-cloud-aiplatform {version('google-cloud-aiplatform')}, v1",
        "services": services,
        "$defs": dict(sorted(definitions.items())),
    }
    return json.dumps(document, separators=(",", ":")) + "\n"


def _define(message: Any, definitions: dict[str, Any], *, partial: bool = False) -> dict[str, str]:
    """Put a message and all that it holds among the definitions; a reference to it.

    `partial`: part of an update, whose mask says which fields count, so that none is required.
    """
    name = f"{message.__qualname__}{_PARTIAL if partial else ''}"
    if name not in definitions:
        definitions[name] = {}
        definitions[name] = _message(message, definitions, partial=partial)
    return {"$ref": f"#/$defs/{name}"}


def _message(message: Any, definitions: dict[str, Any], *, partial: bool) -> dict[str, Any]:
    told = _documentation(message)
    fields = message.meta.fields
    updates = "update_mask" in fields
    properties = {}
    required = []
    groups: dict[str, list[str]] = {}
    for name, field in fields.items():
        text = told.get(name, "")
        if text.startswith("Output only") and name != "name":
            continue  # the service writes it; a name says what is to be changed
        json_name = _camel(name)
        properties[json_name] = {**_field(field, definitions, partial=partial or updates), **_documented(field, text)}
        if text.startswith("Required") and not partial:
            required.append(json_name)
        if field.oneof and not field.optional:
            groups.setdefault(field.oneof, []).append(json_name)
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        found["required"] = required
    exclusive = [sorted(group) for group in groups.values() if len(group) > 1]
    if exclusive:
        found["atMostOneOf"] = exclusive
    return found


def _documented(field: Any, text: str) -> dict[str, int]:
    """The bounds that only the documentation tells."""
    if field.repeated:
        most = MOST.search(text)
        return {"maxItems": int(most[1])} if most else {}
    longest = LONGEST.search(text)
    return {"maxLength": int(longest[1])} if longest and field.proto_type == STRING else {}


def _field(field: Any, definitions: dict[str, Any], *, partial: bool) -> dict[str, Any]:
    pair = getattr(field.message, "meta", None) and field.message.meta.fields
    if field.repeated and field.proto_type == MESSAGE and pair and _is_entry(field.message):
        return {"type": "object", "additionalProperties": _single(pair["value"], definitions, partial=partial)}
    single = _single(field, definitions, partial=partial)
    return {"type": "array", "items": single} if field.repeated else single


def _single(field: Any, definitions: dict[str, Any], *, partial: bool) -> dict[str, Any]:
    if field.proto_type == ENUM:
        return {"type": "string", "enum": [each.name for each in field.enum]}
    if field.proto_type != MESSAGE:
        return SCALARS[field.proto_type]
    full_name = field.message.DESCRIPTOR.full_name if hasattr(field.message, "DESCRIPTOR") else ""
    return WELL_KNOWN[full_name] if full_name in WELL_KNOWN else _define(field.message, definitions, partial=partial)


def _is_entry(message: Any) -> bool:
    return message.__name__.endswith("Entry") and set(message.meta.fields) == {"key", "value"}


def _documentation(message: Any) -> dict[str, str]:
    """Field -> what is written of it."""
    return {name: " ".join(text.split()) for name, text in ENTRY.findall(f"{message.__doc__ or ''}\n")}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


if __name__ == "__main__":
    main()
