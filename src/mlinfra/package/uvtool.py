"""uv and pip, run as programs: found beside this interpreter, their refusals put in few words."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from mlinfra.errors import CapabilityError, MlinfraError, SpecError, Unavailable
from mlinfra.package.gitcode import without_password

_PATIENCE = 1_800  # s; a large framework over a slow line
_LONGEST = 600  # characters of uv's own words
_UNREACHABLE = re.compile(r"failed to fetch|error sending request|network|timed? ?out|connection|dns", re.IGNORECASE)
_NO_PYTHON = re.compile(r"no interpreter found|no download|invalid version request|no matching python", re.IGNORECASE)
_ORNAMENT = re.compile(r"[\u00d7\u2500-\u25ff\u276f]+\s*|^\s*(error|cause): |\s*hint: .*", re.IGNORECASE)


def run_uv(arguments: list[str], place: Path, *, about: str) -> str:
    """What uv prints when run in `place`; `about` names what it works on, for the error.

    Raises SpecError with uv's reason, Unavailable where the package index gives no answer, CapabilityError where a
    Python or uv itself is missing.
    """
    return _run([*_uv(), *arguments], place, about)


def run_pip(arguments: list[str], place: Path, *, about: str) -> str:
    """The same for pip, which downloads wheels for other machines: this interpreter's own, or one that uv brings."""
    command = [sys.executable, "-m", "pip"] if find_spec("pip") else [*_uv(), "tool", "run", "pip"]
    return _run([*command, *arguments], place, about)


def _uv() -> list[str]:
    return [_find_uv(), "--no-python-downloads", "--color", "never", "--no-progress"]


def _run(command: list[str], place: Path, about: str) -> str:
    try:
        done = subprocess.run(
            command, cwd=place, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise Unavailable(f"{Path(command[0]).name} gave no answer in {_PATIENCE} s", given=about) from exc
    if done.returncode:
        raise _refusal(done.stderr, about)
    return done.stdout


def _find_uv() -> str:
    try:
        from uv import find_uv_bin  # noqa: PLC0415  needed only where packages are resolved or installed

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError) as exc:
        raise CapabilityError("uv is missing, which resolves and installs packages", todo="pip install uv") from exc


def _refusal(said: str, about: str) -> MlinfraError:
    reason = shorten_refusal(said)
    if _NO_PYTHON.search(reason):
        return CapabilityError(f"this Python is not on this machine: {reason}", given=about, todo="install it")
    if _UNREACHABLE.search(reason):
        return Unavailable(f"the package index gave no answer: {reason}", given=about)
    return SpecError(
        f"the requirements cannot be met: {reason}", given=about, todo="loosen a version, or choose another Python"
    )


def shorten_refusal(said: str) -> str:
    """The words of uv without ornaments, line breaks, hints and passwords."""
    lines = (_ORNAMENT.sub("", line).strip() for line in said.splitlines())
    words = " ".join(line for line in lines if line and not line.startswith(("warning:", "Using ")))
    return without_password(words)[:_LONGEST]
