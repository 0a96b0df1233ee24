"""The user's last word on a vendor's request, keyed by operation, and what stays the kit's.

Pure: the vendor's schema comes in as a function, the fields that the kit owns as paths.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from mlinfra.errors import Problem
from mlinfra.spec.patch import merge
from mlinfra.spec.problems import spec_error


def override(
    body: Mapping[str, Any],
    patch: Mapping[str, Any],
    *,
    operation: str,
    owned: Iterable[str] = (),
    validate: Callable[[Mapping[str, Any]], Iterable[Problem]] = lambda _body: (),
) -> dict[str, Any]:
    """The body of a request with the user's patch applied (`merge`); SpecError with every problem.

    `owned` holds dotted paths of what the kit sets itself, `*` for any key or index: neither they, nor what lies
    below or above them, may be replaced. `validate` sees the merged body.
    """
    problems = [
        Problem(
            "set by the kit",
            path=f"{operation}.{'.'.join(path)}",
            allowed=f"fields of {operation} other than {', '.join(owned)}",
            todo="remove it from the overrides",
        )
        for path in _leaves(patch)
        if any(_overlap(path, tuple(field.split("."))) for field in owned)
    ]
    merged: dict[str, Any] = merge(body, patch)
    problems.extend(validate(merged))
    if problems:
        raise spec_error(f"the overrides of {operation}", problems)
    return merged


def _leaves(patch: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in patch.items():
        path = (*prefix, str(key))
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, path)
        else:
            yield path


def _overlap(path: tuple[str, ...], field: tuple[str, ...]) -> bool:
    return all(part in {key, "*"} for key, part in zip(path, field, strict=False))
