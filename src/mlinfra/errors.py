"""Every error that a user can meet, in one tree.

    MlinfraError
    ├── UsageError               2   the command line or a call was given something it does not take
    ├── SpecError                2   a spec, environment or model file is wrong; may hold many problems
    ├── CapabilityError          2   this platform, or the machine at hand, cannot do it; says why
    ├── InputRejected            2   rows that the model's schema refuses
    ├── Denied                   3   not permitted
    │   └── WrongAccount         3   the credentials belong elsewhere; nothing was sent
    ├── NotFound                 4
    │   └── EnvironmentNotFound  4
    ├── Conflict                 5   it exists and differs, or somebody else is at work on it
    ├── IntegrityError           1   bytes are not the bytes that were promised
    ├── JobFailed                1
    ├── DeploymentFailed         1
    ├── InvocationFailed         1   the endpoint answered with an error of its own
    ├── RolledBack               6   a rollout ended where it began
    ├── KitFault                70   a fault of the kit; asks for a report
    └── TemporaryError          75   the same command may succeed later; the engine retries these alone
        ├── QuotaExceeded
        ├── CapacityUnavailable
        ├── Throttled
        └── Unavailable

An error speaks in four parts: what happened, the value given, what is allowed, what to do.
Being temporary is a type, so that nothing has to guess what may be sent again.

This file travels inside the code bundle: standard library only, Python 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CapabilityError",
    "CapacityUnavailable",
    "Conflict",
    "Denied",
    "DeploymentFailed",
    "EnvironmentNotFound",
    "InputRejected",
    "IntegrityError",
    "InvocationFailed",
    "JobFailed",
    "KitFault",
    "MlinfraError",
    "NotFound",
    "Problem",
    "QuotaExceeded",
    "RolledBack",
    "SpecError",
    "TemporaryError",
    "Throttled",
    "Unavailable",
    "UsageError",
    "WrongAccount",
]

_UNSET: Any = object()
_LONGEST_VALUE = 200  # characters of a value that are worth repeating to its author


class MlinfraError(Exception):
    """An error meant for people: what happened, the value given, what is allowed, what to do."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, given: Any = _UNSET, allowed: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.given = None if given is _UNSET else given
        self.has_value = given is not _UNSET
        self.allowed = allowed
        self.todo = todo

    @property
    def code(self) -> str:
        """The name under which `-o json` reports this error."""
        return type(self).__name__

    def parts(self) -> list[str]:
        """The message in reading order, one part an element, without empty parts."""
        parts = [self.what]
        if self.has_value:
            parts.append(f"given: {shorten(self.given)}")
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        if self.todo:
            parts.append(f"to do: {self.todo}")
        return parts

    def as_document(self) -> dict[str, Any]:
        """The error as `-o json` prints it."""
        document: dict[str, Any] = {"code": self.code, "what": self.what, "exit_code": self.exit_code}
        if self.has_value:
            document["given"] = shorten(self.given)
        if self.allowed:
            document["allowed"] = self.allowed
        if self.todo:
            document["todo"] = self.todo
        return document

    def __str__(self) -> str:
        return "; ".join(self.parts())


class UsageError(MlinfraError):
    """A command or a call was given something it does not take."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a file: where, and the four parts."""

    what: str
    path: str = ""  # the key's path inside the document: resources.spot
    file: str = ""
    line: int = 0  # from 1; 0 where there is none
    column: int = 0  # from 1
    given: str = ""
    allowed: str = ""
    todo: str = ""

    @property
    def where(self) -> str:
        """`file:line:column`, as far as known."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)

    def __str__(self) -> str:
        subject = f"{self.path}: {self.what}" if self.path else self.what
        parts = [f"{self.where}: {subject}" if self.where else subject]
        parts += [f"given: {self.given}"] if self.given else []
        parts += [f"allowed: {self.allowed}"] if self.allowed else []
        parts += [f"to do: {self.todo}"] if self.todo else []
        return "; ".join(parts)


class SpecError(MlinfraError):
    """What the user wrote is wrong. Holds every problem found, in the order of the file."""

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        given: Any = _UNSET,
        allowed: str = "",
        todo: str = "",
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(what, given=given, allowed=allowed, todo=todo)
        self.problems = tuple(problems)

    def parts(self) -> list[str]:
        """Each problem is a part of its own, after the headline."""
        return super().parts() if not self.problems else [self.what, *map(str, self.problems)]

    def as_document(self) -> dict[str, Any]:
        """The error with its problems, each with file, line and column."""
        return {**super().as_document(), "problems": [vars(problem) for problem in self.problems]}

    def __str__(self) -> str:
        return "\n".join(self.parts()) if self.problems else super().__str__()


class CapabilityError(MlinfraError):
    """This platform, or the machine at hand, cannot do what was asked."""

    exit_code = 2


class InputRejected(MlinfraError):
    """Rows that the model's schema refuses. `rows` holds {row, column, value, allowed} for each."""

    exit_code = 2

    def __init__(self, what: str, *, rows: Sequence[dict[str, Any]] = (), todo: str = "") -> None:
        super().__init__(what, todo=todo)
        self.rows = list(rows)

    def parts(self) -> list[str]:
        """Each refused cell is a part of its own."""
        cells = [
            f"row {cell.get('row')}, column {cell.get('column')}: {shorten(cell.get('value'))}; "
            f"allowed: {cell.get('allowed')}"
            for cell in self.rows
        ]
        return [self.what, *cells, *super().parts()[1:]]

    def as_document(self) -> dict[str, Any]:
        """The error with the refused cells."""
        return {**super().as_document(), "rows": self.rows}


class Denied(MlinfraError):
    """The identity in use may not do this."""

    exit_code = 3


class WrongAccount(Denied):
    """The credentials at hand belong to another account than the environment. Nothing was sent."""


class NotFound(MlinfraError):
    """There is no such thing."""

    exit_code = 4


class EnvironmentNotFound(NotFound):
    """No environment of that name is known here."""


class Conflict(MlinfraError):
    """It exists already and differs, or somebody else is at work on it."""

    exit_code = 5


class IntegrityError(MlinfraError):
    """Bytes are not the bytes that were promised."""


class JobFailed(MlinfraError):
    """A job ended without success."""


class DeploymentFailed(MlinfraError):
    """A deployment never became ready."""


class InvocationFailed(MlinfraError):
    """The endpoint answered with an error of its own. `status` is the model server's HTTP status, 0 if none."""

    def __init__(self, what: str, *, given: Any = _UNSET, allowed: str = "", todo: str = "", status: int = 0) -> None:
        super().__init__(what, given=given, allowed=allowed, todo=todo)
        self.status = status


class RolledBack(MlinfraError):
    """A rollout ended where it began; the old version serves."""

    exit_code = 6


class KitFault(MlinfraError):
    """A fault of the kit itself."""

    exit_code = 70


class TemporaryError(MlinfraError):
    """The same request may succeed later. `retry_after` is in seconds, None where the other side named none."""

    exit_code = 75

    def __init__(
        self,
        what: str,
        *,
        given: Any = _UNSET,
        allowed: str = "",
        todo: str = "",
        retry_after: float | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(what, given=given, allowed=allowed, todo=todo or "run the same command again later")
        self.retry_after = retry_after
        self.sent = sent  # False: the request certainly had no effect. True: look before sending again


class QuotaExceeded(TemporaryError):
    """An account limit is reached; waiting or a raised limit helps."""


class CapacityUnavailable(TemporaryError):
    """The platform, or the disk, has no room at present."""


class Throttled(TemporaryError):
    """Too many calls; the request had no effect."""


class Unavailable(TemporaryError):
    """No answer, or a server's error: whether the request had an effect is not known."""


def shorten(value: Any) -> str:
    """A value as its author would recognise it, cut where it is long."""
    text = value if isinstance(value, str) else repr(value)
    text = text.replace("\n", "\\n")
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}… ({len(text)} characters)"
