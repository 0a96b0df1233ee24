"""What the client library's documentation says of each field, as rules.

Protobuf's own descriptions do not say which fields are required or written by the service alone; the docstrings of the
same messages do, in set phrases: "Required.", "Output only.", "Immutable.", "up to 128 characters", "Format:
``projects/…``". They are read once per message. What they say in free words stands in `_SPOKEN`.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

_ENTRY = re.compile(r"^ {4}(\w+) \([^\n]*\):\n((?:(?: {8}[^\n]*|[ ]*)\n)+)", re.MULTILINE)
_MARKS = re.compile(r"(?:(Required|Output only|Immutable|Optional|Input only|Identifier)\. ?)")
_LONGEST = re.compile(r"(?:up to|at most) (\d+) characters")
_MOST = re.compile(r"(?:Maximum limit is|maximum number of [\w ]+ is) (\d+)")
_BOUNDS = re.compile(r"(?:Valid range of its value is \[|between )(\d+)(?:, | and )(\d+)")
_LEAST = re.compile(r"(?:greater than or equal to|Minimum value is) (\d+)")
_FORMAT = re.compile(r"Format: ``(projects/[^`]+)``")
_ID = r"[a-z0-9_-]"
_ALIAS = r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9-]"

# What a field's documentation says in free words: a pattern for the whole value, of each element where it repeats.
_SPOKEN: dict[tuple[str, str], str] = {
    ("UploadModelRequest", "model_id"): rf"[a-z_]{_ID}{{0,62}}",
    ("CopyModelRequest", "model_id"): rf"[a-z_]{_ID}{{0,62}}",
    ("CreateEndpointRequest", "endpoint_id"): r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?|[1-9][0-9]{0,8}|0",
    ("DeployedModel", "id"): r"[0-9]{1,10}",
    ("Model", "version_aliases"): _ALIAS,
    ("MergeVersionAliasesRequest", "version_aliases"): rf"-?{_ALIAS}",
    ("ModelContainerSpec", "predict_route"): r"/.*",
    ("ModelContainerSpec", "health_route"): r"/.*",
    ("ModelContainerSpec", "invoke_route_prefix"): r"/.*",
    ("GcsDestination", "output_uri_prefix"): r"gs://[^/]+.*|[^:]+",
    ("Model", "artifact_uri"): r"gs://[^/]+.*",
}
_RANGES: dict[tuple[str, str], tuple[int, int]] = {("PredictRequestResponseLoggingConfig", "sampling_rate"): (0, 1)}


@dataclass(frozen=True)
class Rule:
    """What one field must keep to. Numbers are None where nothing is said."""

    required: bool = False
    output_only: bool = False
    immutable: bool = False
    longest: int | None = None  # characters
    most: int | None = None  # elements
    least: int | None = None  # of a number that is set
    largest: int | None = None
    pattern: re.Pattern[str] | None = None
    form: str = ""  # the pattern as the documentation has it


@cache
def rules(kind: Any) -> dict[str, Rule]:
    """The rules of a message's fields, by name; of a plain protobuf message nothing is documented."""
    if not hasattr(kind, "meta"):
        return {}
    told = documentation(kind)
    return {name: _rule(kind.__name__, name, told.get(name, "")) for name in kind.meta.fields}


def documentation(kind: Any) -> dict[str, str]:
    """Field -> what is written of it."""
    text = inspect.cleandoc(kind.__doc__ or "") + "\n"
    return {name: " ".join(entry.split()) for name, entry in _ENTRY.findall(text)}


def _rule(kind: str, name: str, text: str) -> Rule:
    marks = set()
    rest = text
    while found := _MARKS.match(rest):
        marks.add(found.group(1))
        rest = rest[found.end() :]
    form = _SPOKEN.get((kind, name)) or _formatted(rest)
    bounds = _BOUNDS.search(rest)
    spoken = _RANGES.get((kind, name), (None, None))
    return Rule(
        required="Required" in marks,
        output_only="Output only" in marks,
        immutable="Immutable" in marks,
        longest=_number(_LONGEST, rest) if (kind, name) not in _SPOKEN else None,
        most=_number(_MOST, rest),
        least=int(bounds.group(1)) if bounds else _number(_LEAST, rest) or spoken[0],
        largest=int(bounds.group(2)) if bounds else spoken[1],
        pattern=re.compile(form) if form else None,
        form=form,
    )


def _formatted(text: str) -> str:
    """A resource name's pattern. A model may be followed by a version; a location is never a resource of its own."""
    found = _FORMAT.search(text)
    return re.sub(r"\{[^}]+\}", "[^/]+", found.group(1)) if found else ""


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    return int(found.group(1)) if found else None
