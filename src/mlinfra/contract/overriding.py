"""What users' overrides of a vendor's requests may change: the same question on every cloud, with each one's tables.

`spec.overrides` lays a patch over one request; here is told, before there is a request, what is wrong with a patch, and
which parts of one are the kit's own or protect a production stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlinfra.contract.schema import unknown
from mlinfra.errors import Problem, SpecError
from mlinfra.spec.overrides import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

OWN_VARIABLES = "MLINFRA_"

Paths = Mapping[str, tuple[str, ...]]  # operation -> dotted paths in its body, `*` for any key or index


@dataclass(frozen=True)
class Rules:
    """What one platform's adapter knows. `body` is the schema of an operation's body, with the `$defs` it refers to.

    `owned` is what the kit sets itself. `protections` may be switched on in a production stage, never off, and nothing
    may take their place; `openings` may be switched off, never on. `variables` are the members that hold a container's
    variables.
    """

    platform: str
    owned: Paths
    body: Callable[[str], tuple[Mapping[str, Any], Mapping[str, Any]]]
    problems: Callable[[str, Mapping[str, Any]], Iterable[Problem]]
    protections: Paths = field(default_factory=dict)
    openings: Paths = field(default_factory=dict)
    variables: frozenset[str] = frozenset()

    def check(self, overrides: Mapping[str, Any], environment: Environment | None) -> None:
        """Refuse unknown operations and members, what the kit owns, and what weakens a production stage.

        Raises:
            SpecError: holds every problem, each with the nearest valid name.
        """
        wrong = [problem for name, patch in overrides.items() for problem in self._wrong(name, patch, environment)]
        if wrong:
            raise SpecError(f"the overrides for platform {self.platform} are not valid", problems=wrong)

    def overridden(
        self, operation: str, body: Document, patch: Mapping[str, Any], environment: Environment
    ) -> Document:
        """A body with the user's patch, checked as a whole.

        Raises:
            SpecError: holds every member that is wrong, that the kit sets itself, or that weakens a production stage.
        """
        weakened = list(self._weakened(operation, patch, environment))
        if weakened:
            raise SpecError(f"the overrides of {operation}", problems=weakened)
        return override(
            body,
            patch,
            operation=operation,
            owned=self.owned.get(operation, ()),
            validate=lambda merged: self.problems(operation, merged),
        )

    def _wrong(self, operation: str, patch: Any, environment: Environment | None) -> Iterator[Problem]:
        where = f"overrides.{self.platform}.{operation}"
        if operation not in self.owned:
            yield unknown("operation", operation, self.owned, where)
            return
        schema, whole = self.body(operation)
        yield from _unknown_members(schema, patch, where, whole)
        yield from self._reserved(patch, where)
        if environment is not None:
            yield from self._weakened(operation, patch, environment)
        for path, _ in leaves(patch):
            if _is_among(path, self.owned[operation]):
                yield Problem("set by the kit", path=f"{where}.{'.'.join(path)}", todo="remove it from the overrides")

    def _reserved(self, patch: Any, where: str) -> Iterator[Problem]:
        """Variables whose names are the kit's, in a map or in a list of names and values."""
        for path, value in leaves(patch):
            if not self.variables & set(path):
                continue
            named = [value] if path[-1] == "name" else [each.get("name") for each in _items(value)]
            if any(str(name).startswith(OWN_VARIABLES) for name in (path[-1], *named)):
                yield Problem(
                    "the name of a variable of the kit",
                    path=f"{where}.{'.'.join(path)}",
                    allowed=f"names that do not begin with {OWN_VARIABLES}",
                    todo="rename it",
                )

    def _weakened(self, operation: str, patch: Any, environment: Environment) -> Iterator[Problem]:
        if environment.stage != "prod":
            return
        for path, value in leaves(patch):
            weakens = value is not True and _is_among(path, self.protections.get(operation, ()))
            if weakens or (value not in {False, None} and _is_among(path, self.openings.get(operation, ()))):
                yield Problem(
                    "weakens what protects stage prod",
                    path=f"overrides.{self.platform}.{operation}.{'.'.join(path)}",
                    given=repr(value),
                    allowed="what the environment says of identity, network and encryption",
                    todo="change the environment, or leave it out with an overlay",
                )


def leaves(patch: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path and value of all that a patch sets or removes."""
    if isinstance(patch, dict) and patch:
        for key, value in patch.items():
            yield from leaves(value, (*prefix, str(key)))
    elif prefix:
        yield prefix, patch


def _unknown_members(schema: Mapping[str, Any], patch: Any, where: str, whole: Mapping[str, Any]) -> Iterator[Problem]:
    """The names in a patch that the vendor's schema does not have; what a null removes need only be a name."""
    if "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        schema = _together(schema["anyOf"], whole)
    if isinstance(patch, list):
        for index, item in enumerate(patch):
            yield from _unknown_members(schema.get("items", {}), item, f"{where}.{index}", whole)
    if not isinstance(patch, dict):
        return
    for name, value in patch.items():
        if "properties" in schema and name not in schema["properties"]:
            yield unknown("member", str(name), schema["properties"], f"{where}.{name}")
        else:
            inner = schema.get("properties", {}).get(name, schema.get("items", schema.get("additionalProperties", {})))
            yield from _unknown_members(inner, value, f"{where}.{name}", whole)


def _items(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _together(options: Iterable[Mapping[str, Any]], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema with the members of all options: a patch need not say of which one it is."""
    shapes = [whole["$defs"][each["$ref"].rpartition("/")[2]] if "$ref" in each else each for each in options]
    members = [shape["properties"] for shape in shapes if "properties" in shape]
    return {"properties": {name: each for some in reversed(members) for name, each in some.items()}} if members else {}


def _is_among(path: tuple[str, ...], others: Iterable[str]) -> bool:
    """Whether a path is one of the others, or leads below or above one."""
    return any(all(part in {key, "*"} for key, part in zip(path, other.split("."), strict=False)) for other in others)
