"""The logins that `docker login` and credential helpers keep, read as Docker itself does.

`~/.docker/config.json` (or in `DOCKER_CONFIG`): `auths` by host, `credHelpers` by host, `credsStore` for all. A helper
is the program `docker-credential-NAME`; `get` with the host on its input prints `{"Username", "Secret"}`, and the user
`<token>` means that the secret is a refresh token (https://github.com/docker/docker-credential-helpers).
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from mlinfra.errors import SpecError, Unavailable
from mlinfra.images.login import Credentials

_PATIENCE = 60  # seconds for a helper, which may ask a cloud
_HUB = "registry-1.docker.io"
_HUB_KEYS = ("https://index.docker.io/v1/", "docker.io", "index.docker.io")
_REFRESH = "<token>"
_UNKNOWN = "credentials not found"


def docker_credentials(host: str) -> Credentials | None:
    """What Docker's own configuration knows of a registry; None where it knows nothing.

    Raises:
        SpecError: the file is not readable.
        Unavailable: a credential helper fails.
    """
    path = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    document = _read(path)
    for key in (host, f"https://{host}", *(_HUB_KEYS if host == _HUB else ())):
        if helper := document.get("credHelpers", {}).get(key):
            return _ask(helper, key)
        if entry := document.get("auths", {}).get(key):
            return _entry(entry, path)
    return _ask(document["credsStore"], host) if document.get("credsStore") else None


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as exc:
        raise SpecError("Docker's configuration is not JSON", given=str(path), todo="correct the file") from exc
    return document if isinstance(document, dict) else {}


def _entry(entry: dict[str, str], path: Path) -> Credentials | None:
    if entry.get("identitytoken"):
        return Credentials(identity=entry["identitytoken"])
    if "auth" not in entry:
        return Credentials(entry["username"], entry.get("password", "")) if entry.get("username") else None
    try:
        user, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    except ValueError as exc:
        raise SpecError("a login in Docker's configuration is not base64", given=str(path)) from exc
    return Credentials(user, password)


def _ask(helper: str, key: str) -> Credentials | None:
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"], input=key, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
        if done.returncode and _UNKNOWN in done.stdout + done.stderr:
            return None
        answer = json.loads(done.stdout) if not done.returncode else {}
        user, secret = answer["Username"], answer["Secret"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as exc:
        todo = f"try `echo {key} | {program} get`"
        raise Unavailable("a credential helper gives no credentials", given=program, todo=todo) from exc
    return Credentials(identity=secret) if user == _REFRESH else Credentials(user, secret)
