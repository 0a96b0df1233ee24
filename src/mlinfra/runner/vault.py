"""A job's secrets: read where the manifest says, given to the command, kept out of all that is written."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from mlinfra.runner import aws
from mlinfra.runner.addresses import path_of
from mlinfra.runner.problem import MISSING, WRONG, RunnerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MASK = b"***"
_SHORTEST = 4  # characters; hiding shorter pieces would make a log unreadable and guard nothing
_LOGIN = re.compile(rb"(?<=://)[^/@\s:]+:[^/@\s]+(?=@)")


def reveal(secrets: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """Variable -> value of each secret. Raises RunnerError naming the secret, never a value."""
    found = {}
    for name, place in secrets.items():
        scheme, _, rest = place.partition(":")
        if scheme not in READERS:
            known = ", ".join(sorted(READERS))
            raise RunnerError(f"secret {name}: nothing here reads `{scheme}:`; known: {known}", WRONG)
        found[name] = READERS[scheme](name, rest, variables)
    return found


class Masker:
    """Replaces secrets in bytes that are about to be written, in the forms in which programs print them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret) if len(form) >= _SHORTEST}
        longest_first = sorted((form.encode() for form in forms), key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, longest_first))) if forms else None
        self.longest = len(longest_first[0]) if longest_first else 0

    def hide(self, content: bytes) -> bytes:
        """The content with every secret, and every password inside an address, masked."""
        if b"://" in content:
            content = _LOGIN.sub(MASK, content)
        return self._pattern.sub(MASK, content) if self._pattern else content

    def hide_text(self, text: str) -> str:
        """The same for a text."""
        return self.hide(text.encode(errors="replace")).decode(errors="replace")


def _forms(secret: str) -> Iterable[str]:
    lines = [line.strip() for line in secret.splitlines()]
    plain = [secret.strip(), *lines]
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return [
        *plain,
        encoded,
        *(form for text in plain for form in (json.dumps(text)[1:-1], quote(text), quote_plus(text))),
    ]


def _from_file(name: str, rest: str, _variables: Mapping[str, str]) -> str:
    try:
        return path_of(f"file:{rest}").read_text(encoding="utf-8").rstrip("\n")
    except (OSError, ValueError) as exc:
        raise RunnerError(f"secret {name} cannot be read: {type(exc).__name__}", MISSING) from exc


def _from_variable(name: str, rest: str, variables: Mapping[str, str]) -> str:
    if rest not in variables:
        raise RunnerError(f"secret {name}: the platform did not set the variable {rest}", MISSING)
    return variables[rest]


def _from_google(name: str, rest: str, variables: Mapping[str, str]) -> str:
    from mlinfra.runner import secretmanager  # noqa: PLC0415  40 ms that a job without the network does not pay

    return secretmanager.secret(name, rest, variables)


def _from_azure(name: str, rest: str, variables: Mapping[str, str]) -> str:
    from mlinfra.runner import azure  # noqa: PLC0415  as above

    return azure.secret(name, rest, variables)


READERS: dict[str, Callable[[str, str, Mapping[str, str]], str]] = {
    "awssecret": aws.secret,
    "env": _from_variable,
    "file": _from_file,
    "keyvault": _from_azure,
    "secretmanager": _from_google,
}
