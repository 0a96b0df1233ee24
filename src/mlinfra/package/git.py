"""The user's git as a program, told to ask nothing, to run nothing that a repository names, and to go nowhere odd."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")  # set inside a hook
_SETTINGS = {
    "core.fsmonitor": "false",  # else a repository's own settings name a program to run
    "core.hooksPath": os.devnull,
    "core.autocrlf": "false",  # the same bytes on every machine
    "core.symlinks": "true",
    "safe.directory": "*",  # with the above, a work tree of another owner can do no harm
    "advice.detachedHead": "false",
}


def run_git(arguments: list[str], place: Path | str, *, timeout: float) -> bytes:
    """What git prints when run in `place`. Never asks for a password.

    Raises FileNotFoundError where there is no git, and subprocess.SubprocessError with git's words in `stderr`.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh", "LC_ALL": "C"}
    settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    command = ["git", *settings, "-C", str(place), *arguments]
    done = subprocess.run(
        command, env=environment, capture_output=True, check=True, stdin=subprocess.DEVNULL, timeout=timeout
    )
    return done.stdout
