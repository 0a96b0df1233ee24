"""One thing wrong in a spec, before anybody knows in which file and line it stands."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from mlinfra.errors import shorten

Loc = tuple[str | int, ...]

WRONG: Final = "wrong"  # the type of the errors that speak for themselves


class Finding(NamedTuple):
    """What is wrong, where, and what to do about it."""

    loc: Loc
    what: str
    allowed: str
    todo: str
    given: Any = None
    has_value: bool = False
    at_key: bool = False  # the key is at fault, not its value
    private: bool = False  # the value may hold a secret
    needs: frozenset[str] = frozenset()  # top-level fields that the rule looked at


def wrong(what: str, *, allowed: str, todo: str, **more: Any) -> PydanticCustomError:
    """An error for pydantic to collect. `more` are further parts of a Finding."""
    return PydanticCustomError(WRONG, "{what}", {"what": what, "allowed": allowed, "todo": todo, **more})


def raise_together(title: str, findings: Iterable[Finding]) -> None:
    """Raise one ValidationError that holds all findings, each at its place; nothing where there is none."""
    details = [
        InitErrorDetails(
            type=wrong(**{key: value for key, value in finding._asdict().items() if key not in {"loc", "given"}}),
            loc=finding.loc,
            input=finding.given,
        )
        for finding in findings
    ]
    if details:
        raise ValidationError.from_exception_data(title, details)


def dotted(loc: Loc) -> str:
    """A place as people write it: `rollout.steps[1]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return shorten(text.removeprefix("."))
