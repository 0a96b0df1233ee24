"""Overlays: what a spec says for some environments alone, laid over its body as a merge patch."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from mlinfra.errors import SpecError
from mlinfra.spec.base import plain
from mlinfra.spec.findings import Finding, Loc
from mlinfra.spec.patch import merge
from mlinfra.spec.walk import annotation_at, names_of
from mlinfra.spec.words import unknown_key

if TYPE_CHECKING:
    from mlinfra.spec.spec import Spec

_FIXED: Final = ("version", "kind", "name", "environments")
_PER_PLATFORM: Final = ("machine", "overrides")


def body_for(spec: "Spec", environment: str, platform: str) -> dict[str, Any]:
    """The body of a spec as it holds in one environment: overlays applied, the most specific last.

    Of what is said per platform only the part of `platform` is left, so that nothing else reaches an identity.
    """
    body = spec.body()
    for glob in sorted(spec.environments, key=_specificity):
        if fnmatchcase(environment, glob):
            body = merge(body, plain(spec.environments[glob]))
    body.pop("environments", None)
    for key in _PER_PLATFORM:
        mine = {name: part for name, part in body.pop(key, {}).items() if name == platform}
        body |= {key: mine} if mine else {}
    return body


def overlay_findings(spec: "Spec") -> Iterator[Finding]:
    """What is wrong with each overlay when it is laid over the body by itself."""
    for glob, overlay in spec.environments.items():
        for finding in _faults(spec, overlay):
            yield finding._replace(loc=(*_at(glob), *finding.loc))


def variants(spec: "Spec") -> Iterator[tuple[Loc, "Spec"]]:
    """The spec as it is, and under each of its valid overlays, with the place in the document that says so."""
    yield (), spec
    for glob, overlay in spec.environments.items():
        if not any(_faults(spec, overlay)):
            yield _at(glob), type(spec).from_document(_laid_over(spec, overlay))


def _at(glob: str) -> Loc:
    return ("environments", glob)


def _faults(spec: "Spec", overlay: Mapping[str, Any]) -> Iterator[Finding]:
    model = type(spec)
    for key in overlay.keys() & set(_FIXED):
        allowed = f"every field but {', '.join(_FIXED)}"
        yield Finding((key,), "the same in all environments", allowed, "remove it from the overlay", key, at_key=True)
    for loc in _nulls(overlay):
        if annotation_at(model, loc) is None:
            yield unknown_key(model, loc)
    try:
        merged = _laid_over(spec, overlay)
    except SpecError as error:
        yield Finding((), error.what, error.allowed, error.todo, error.given, has_value=True)
    else:
        yield from model.attempt(merged)[1]


def _laid_over(spec: "Spec", overlay: Mapping[str, Any]) -> dict[str, Any]:
    """The body under one overlay. What the overlay leaves alone stays as it is, since that is valid already."""
    values = {key: getattr(spec, name) for key, name in names_of(type(spec)).items() if key != "environments"}
    touched = {key: plain(value) for key, value in values.items() if key in overlay}
    merged: dict[str, Any] = merge(
        values | touched, {key: value for key, value in overlay.items() if key not in _FIXED}
    )
    return merged


def _specificity(glob: str) -> tuple[bool, int]:
    wildcards = glob.count("*") + glob.count("?")
    return not wildcards, len(glob) - wildcards


def _nulls(patch: Mapping[str, Any], prefix: Loc = ()) -> Iterator[Loc]:
    for key, value in patch.items():
        loc = (*prefix, key)
        if isinstance(value, Mapping):
            yield from _nulls(value, loc)
        elif value is None:
            yield loc
