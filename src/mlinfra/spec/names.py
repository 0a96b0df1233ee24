"""Names: the one rule that every platform accepts, and the names made from them within each platform's limits.

The lengths are those of the vendors' published schemas (SageMaker, Vertex AI) and documents (Azure ML).
"""

import hashlib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final

from mlinfra.errors import SpecError
from mlinfra.spec.limits import ENDPOINT_NAME_LENGTH, KEY_LENGTH, NAME_LENGTH
from mlinfra.spec.scalars import Text

_SHORTEST: Final = 3


WORDS_PATTERN: Final = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"  # of any length
NAME_PATTERN: Final = rf"(?=.{{{_SHORTEST},{NAME_LENGTH}}}$){WORDS_PATTERN}"
ENDPOINT_NAME_PATTERN: Final = rf"(?=.{{{_SHORTEST},{ENDPOINT_NAME_LENGTH}}}$){WORDS_PATTERN}"

_FORM = "lower-case letters, digits and single dashes inside, beginning with a letter"

Name = Annotated[str, Text(NAME_PATTERN, f"{_SHORTEST} to {NAME_LENGTH} characters: {_FORM}")]
EndpointName = Annotated[str, Text(ENDPOINT_NAME_PATTERN, f"{_SHORTEST} to {ENDPOINT_NAME_LENGTH} characters: {_FORM}")]
Key = Annotated[
    str,
    Text(
        rf"[A-Za-z_][A-Za-z0-9_-]{{0,{KEY_LENGTH - 1}}}", f"1 to {KEY_LENGTH} letters, digits, _ and -, no digit first"
    ),
]
MetricName = Annotated[
    str,
    Text(rf"[A-Za-z_][A-Za-z0-9_./-]{{0,{KEY_LENGTH - 1}}}", f"1 to {KEY_LENGTH} letters, digits and _ . / -"),
]
Variable = Annotated[
    str,
    Text(
        r"(?!MLINFRA_)[A-Za-z_][A-Za-z0-9_]{0,254}",
        "letters, digits and _, no digit first, not beginning with MLINFRA_, which is the kit's",
        "variable",
    ),
]
SecretName = Annotated[
    str,
    Text(r"[A-Za-z](?:[A-Za-z0-9]|-(?=[A-Za-z0-9])){0,126}", "the name of a secret: letters, digits and single dashes"),
]
TagKey = Annotated[
    str,
    Text(
        rf"(?!mlinfra)[a-z][a-z0-9_-]{{0,{KEY_LENGTH - 1}}}",
        f"1 to {KEY_LENGTH} lower-case letters, digits, _ and -, a letter first, not beginning with mlinfra",
        "tag",
    ),
]
TagValue = Annotated[
    str, Text(rf"[a-z0-9_-]{{0,{KEY_LENGTH}}}", f"0 to {KEY_LENGTH} lower-case letters, digits, _ and -", "tag value")
]
Platform = Annotated[str, Text(r"[a-z][a-z0-9_]{1,31}", "the name of a platform: local, aws, azure, gcp", "platform")]
MachineType = Annotated[str, Text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}", "the platform's own name of a machine type")]
Operation = Annotated[
    str,
    Text(r"[A-Za-z][A-Za-z0-9_.]{0,127}", "the vendor's name of an operation, such as CreateTrainingJob", "operation"),
]
Glob = Annotated[
    str, Text(r"[A-Za-z0-9_.*?-]{1,64}", "the name of an environment, * and ? standing for what varies", "pattern")
]

_LIMITS: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType(
    {
        "job": {"aws": 63, "azure": 255, "gcp": 128},
        "sweep": {"aws": 32, "azure": 255, "gcp": 128},
        "pipeline": {"aws": 255, "azure": 255, "gcp": 128},
        "model": {"aws": 63, "azure": 255, "gcp": 63},
        "endpoint": {"aws": 63, "azure": 32, "gcp": 63},
        "endpoint_config": {"aws": 63},
        "deployment": {"aws": 63, "azure": 32, "gcp": 128},
    }
)
_MARK: Final = 6  # hex digits


def derive_name(kind: str, platform: str, name: str, suffix: str = "", *, environment_id: str = "") -> str:
    """The physical name of a resource: `name`, then `suffix`, within the platform's limit and always the same.

    A name that is too long is cut and marked with digits of the whole, so that two long names stay two.
    An endpoint's name carries the mark of `environment_id` too, since Azure shares a region's names between customers.
    A platform that the table does not know gets the shortest limit of the kind.
    """
    limits = _LIMITS[kind]
    longest = limits.get(platform, min(limits.values()))
    if kind == "endpoint":
        suffix = "-".join(part for part in (suffix, environment_mark(environment_id)) if part)
    tail = f"-{suffix}" if suffix else ""
    if not re.fullmatch(WORDS_PATTERN, name + tail) or len(tail) + _MARK + _SHORTEST >= longest:
        allowed = f"{_FORM}; {longest} characters for a {kind} on {platform}"
        raise SpecError(
            "no resource can have this name", given=name + tail, allowed=allowed, todo="choose a shorter name"
        )
    return _cut(name, longest - len(tail)) + tail


def environment_mark(environment_id: str) -> str:
    """Six hex digits that stand for an environment."""
    return _digits(environment_id)


def _cut(name: str, longest: int) -> str:
    if len(name) <= longest:
        return name
    return f"{name[: longest - _MARK - 1].rstrip('-')}-{_digits(name)}"


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_MARK]
