"""What the engine refuses or fails at, as errors of ours: what happened first, and what to do about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mlinfra.errors import (
    CapabilityError,
    Conflict,
    Denied,
    DeploymentFailed,
    EnvironmentNotFound,
    MlinfraError,
    Problem,
    SpecError,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CONFIGURATION: Final = re.compile(r"(\d+ problems? in the configuration of stack .*)")
_LAST_LINE: Final = re.compile(r"^(?:[\w.]+\.)?(\w+(?:Error|Conflict|Denied|NotFound|Exception)): (.*)$")
_ADVICE: Final = "what was done stays; correct the cause and run the same command again"

# Words of the engine, its backends and the clouds -> the error they mean. The first that is found counts.
_WORDS: Final[tuple[tuple[str, Callable[[str, str], MlinfraError]], ...]] = (
    (
        "incorrect passphrase",
        lambda stack, said: Denied(
            f"the passphrase of stack {stack} is not the one that its secrets were kept with",
            given=said,
            todo="set PULUMI_CONFIG_PASSPHRASE, or PULUMI_CONFIG_PASSPHRASE_FILE",
        ),
    ),
    (
        "passphrase must be set",
        lambda stack, said: Denied(
            f"the secrets of stack {stack} are kept behind a passphrase, and none was given",
            given=said,
            todo="set PULUMI_CONFIG_PASSPHRASE, or PULUMI_CONFIG_PASSPHRASE_FILE",
        ),
    ),
    (
        "no stack named",
        lambda stack, _said: EnvironmentNotFound("there is no such stack in this state", given=stack),
    ),
    (
        "could not read plugin",
        lambda _stack, said: CapabilityError("a plugin of the engine does not start", given=said, todo="make pulumi"),
    ),
    (
        "no resource plugin",
        lambda _stack, said: CapabilityError(
            "the engine has no provider for a resource and may not fetch it", given=said, todo="pulumi plugin install"
        ),
    ),
    ("AccessDenied", lambda stack, said: Denied(f"stack {stack}: the caller may not do this", given=said)),
    (
        "is protected",
        lambda stack, said: Denied(
            f"stack {stack} holds what its stage protects from deletion; nothing of that was removed",
            given=said,
            todo=f"where it is meant: pulumi state unprotect --all --stack {stack}, then the same command",
        ),
    ),
    ("unable to open bucket", lambda stack, said: Unavailable(f"the state of {stack} cannot be reached", given=said)),
)


def of_run(stack: str, errors: Sequence[str], written: Sequence[str], said: str) -> MlinfraError:
    """The error of a run that did not succeed: from diagnostics, from what programs wrote, from the engine's text."""
    text = "\n".join([*errors, *written, said])
    if match := _CONFIGURATION.search(text):
        return _configuration(match[1], text[match.end() :])
    first = _first(errors) or _first(written) or _engine(said)
    for words, error in _WORDS:
        if words in text:
            return error(stack, first)
    return DeploymentFailed(f"stack {stack} is not as it should be: {first}", todo=_ADVICE)


def unexpected(stack: str, changes: str) -> Conflict:
    """The error for a plan that should have been empty."""
    return Conflict(f"stack {stack} is not what its program says", given=changes, todo=f"mlinfra env up {stack}")


def _configuration(headline: str, rest: str) -> SpecError:
    """The program's own refusal, whose problems stand one to a line."""
    problems = []
    for line in rest.strip().splitlines():
        if not line.strip():
            break
        problems.append(Problem(line.strip()))
    return SpecError(headline, problems=problems)


def _first(messages: Sequence[str]) -> str:
    """The first message that says something: of a trace its last line, which names the cause."""
    for message in messages:
        lines = [line.strip() for line in message.splitlines() if line.strip()]
        if not lines:
            continue
        causes = [match for match in map(_LAST_LINE.match, lines) if match]
        return causes[-1][2] if causes else lines[-1] if "Traceback" in message else lines[0]
    return ""


def _engine(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error:")]
    return (errors or lines or ["no reason given"])[0]
