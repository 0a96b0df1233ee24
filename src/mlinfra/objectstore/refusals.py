"""What obstore raises, as the kit's errors. Total: what it does not know is Unavailable."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from obstore import exceptions

from mlinfra.errors import (
    Conflict,
    Denied,
    KitFault,
    MlinfraError,
    NotFound,
    SpecError,
    Throttled,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_LOGINS = {"ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "TokenRefreshRequired"}
_BUSY = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "ServerBusy"}
_KINDS: tuple[tuple[tuple[type[Exception], ...], type[MlinfraError], str], ...] = (
    ((FileNotFoundError, exceptions.NotFoundError), NotFound, "there is no such object"),
    (
        (exceptions.AlreadyExistsError, exceptions.PreconditionError),
        Conflict,
        "somebody else wrote this object meanwhile",
    ),
    (
        (PermissionError, exceptions.PermissionDeniedError),
        Denied,
        "the identity in use may not do this to the object",
    ),
    ((exceptions.UnauthenticatedError,), Denied, "the credentials at hand do not hold"),
    ((exceptions.InvalidPathError,), SpecError, "no object can have this name"),
)
_TOO_MANY, _SERVER_ERROR = 429, 500


@contextmanager
def translated(uri: str, *, login: str = "") -> Iterator[None]:
    """Let only errors of ours out of the block. `login` says what to do about credentials that do not hold."""
    try:
        yield
    except MlinfraError:
        raise
    except Exception as exc:
        raise translate(exc, uri, login=login) from exc


def translate(exc: Exception, uri: str, *, login: str = "") -> MlinfraError:
    """The error of ours that says what happened to the object at an address."""
    for kinds, ours, what in _KINDS:
        if isinstance(exc, kinds):
            return ours(what, given=uri, todo=login if ours is Denied else "")
    if isinstance(exc, ValueError) and "parse path" in str(exc):
        allowed = "names without empty parts, control characters, . and .."
        return SpecError("no object can have this name", given=uri, allowed=allowed)
    if isinstance(exc, TypeError | exceptions.NotSupportedError | exceptions.UnknownConfigurationKeyError):
        return KitFault(f"the object store's client refused {uri}: {exc}")
    return _by_answer(str(exc), uri, login)


def _by_answer(text: str, uri: str, login: str) -> MlinfraError:
    """A GenericError holds the service's answer in words alone."""
    status = int(found[1]) if (found := _STATUS.search(text)) else 0
    code = found[1] if (found := _CODE.search(text)) else ""
    if code in _LOGINS:
        return Denied(f"the credentials at hand do not hold: {code}", given=uri, todo=login)
    if code in _BUSY or status == _TOO_MANY:
        return Throttled("too many requests to the object store", given=uri, sent=False)
    if status and status < _SERVER_ERROR:
        return SpecError(f"the object store refused: {code or status}", given=uri)
    reason = code or (f"status {status}" if status else text.partition("\n")[0][-200:])
    return Unavailable(f"the object store did not answer: {reason}", given=uri)
