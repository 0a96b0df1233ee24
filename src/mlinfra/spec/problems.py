"""From findings to problems: a path that people read, file, line and column, and no secret in the text."""

from collections.abc import Iterable, Mapping
from typing import Final

from mlinfra.errors import Problem, SpecError, shorten
from mlinfra.spec.findings import Finding, dotted
from mlinfra.spec.limits import MAX_PROBLEMS
from mlinfra.spec.positions import Positions

_SECRET_WORDS: Final = (
    "secret",
    "password",
    "passwd",
    "token",
    "credential",
    "private",
    "api_key",
    "apikey",
    "accesskey",
)
_HIDDEN: Final = "(not shown)"


def problem(finding: Finding, positions: Positions | None = None) -> Problem:
    """The finding as people read it, with its place where the document came from a file."""
    if positions is None:
        return Problem(
            finding.what, dotted(finding.loc), "", 0, 0, _given(finding, None), finding.allowed, finding.todo
        )
    mark = positions.mark(finding.loc, at_key=finding.at_key)
    seen = positions.seen(finding.loc)
    loc = seen if positions.text(seen) is not None else finding.loc  # `train: data.csv` has no `uri` to show
    return Problem(
        what=finding.what,
        path=dotted(loc),
        file=positions.file,
        line=mark.line,
        column=mark.column,
        given=_given(finding, positions.text(finding.loc)),
        allowed=finding.allowed,
        todo=finding.todo,
    )


def spec_error(subject: str, problems: Iterable[Problem]) -> SpecError:
    """One error that holds the problems in the order of the file, as many as anybody reads."""
    ordered = sorted(problems, key=lambda item: (item.file, item.line, item.column))
    count = f"more than {MAX_PROBLEMS}" if len(ordered) > MAX_PROBLEMS else str(len(ordered))
    noun = "problem" if len(ordered) == 1 else "problems"
    return SpecError(f"{count} {noun} in {subject}", problems=ordered[:MAX_PROBLEMS])


def is_secret(word: str | int) -> bool:
    """Whether a key's name promises something that nobody should read."""
    return any(secret in str(word).lower().replace("-", "_") for secret in _SECRET_WORDS)


def _given(finding: Finding, written: str | None) -> str:
    value = finding.given
    if not finding.has_value:
        return ""
    if finding.private or (not finding.at_key and any(map(is_secret, finding.loc))):
        return _HIDDEN
    if isinstance(value, (Mapping, list, tuple)):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    if value is None:
        return "nothing"
    return shorten(value if written is None or finding.at_key else written) or '""'
