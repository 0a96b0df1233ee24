"""As much of an `MLmodel` file as the kit needs, read without a YAML library: nested maps of plain scalars.

MLflow writes the file itself, always in block style, so this small part of YAML is what can occur.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from mlinfra.modelkit.schema import Column, Schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_KEY = re.compile(r"^(?P<indent> *)(?P<key>[^\s:#'\"\-][^:]*):(?: +(?P<value>.*))?$")
_TYPES = {
    "double": "number",
    "float": "number",
    "integer": "integer",
    "long": "integer",
    "string": "string",
    "boolean": "boolean",
}


def read_mlmodel(path: Path) -> dict[str, Any]:
    """The file as nested maps of strings; lists and anything else unusual are left out."""
    root: dict[str, Any] = {}
    open_maps: list[tuple[int, dict[str, Any]]] = [(-1, root)]
    for indent, key, value in _entries(path.read_text(encoding="utf-8")):
        while open_maps[-1][0] >= indent:
            open_maps.pop()
        parent = open_maps[-1][1]
        if value:
            parent[key] = _scalar(value)
        else:
            parent[key] = {}
            open_maps.append((indent, parent[key]))
    return root


def signature_schema(mlmodel: dict[str, Any]) -> Schema | None:
    """The input schema of a column-based signature; None where there is none, or one that we cannot express."""
    signature = mlmodel.get("signature")
    inputs = signature.get("inputs") if isinstance(signature, dict) else None
    try:
        columns = json.loads(inputs) if isinstance(inputs, str) else []
        found = [
            Column(column["name"], _TYPES[column["type"]], required=column.get("required", True)) for column in columns
        ]
    except (ValueError, KeyError, TypeError):
        return None
    return Schema(tuple(found)) if found else None


def _entries(text: str) -> Iterator[tuple[int, str, str]]:
    """(indent, key, raw value) of each line `key: value`, with quoted values joined over their lines."""
    lines = iter(text.splitlines())
    for line in lines:
        match = _KEY.match(line)
        if not match:
            continue
        value = (match["value"] or "").strip()
        while value[:1] in ("'", '"') and not _is_closed(value):
            following = next(lines, None)
            if following is None:
                break
            value = f"{value} {following.strip()}"
        yield len(match["indent"]), match["key"].strip(), value


def _is_closed(value: str) -> bool:
    quote = value[0]
    if quote == "'":
        return len(value) > 1 and value.count("'") % 2 == 0
    return len(value) > 1 and value.endswith('"') and not value.endswith('\\"')


def _scalar(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'")
    if len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1].replace('\\"', '"')
    return value
