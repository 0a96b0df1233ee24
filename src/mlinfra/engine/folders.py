"""Where the kit keeps things on this machine: a project's own folder, and the user's."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

PROJECT_FILE = "mlinfra.toml"
PROJECT_FOLDER = ".mlinfra"


@dataclass(frozen=True)
class Folders:
    """`project` holds the journal, environments and what `local` makes; `state` what all projects share."""

    project: Path
    state: Path
    emulated: str = ""  # the emulated environment whose records these are; empty for those of all real ones

    @classmethod
    def find(cls, start: Path | None = None) -> Folders:
        """The nearest folder upwards with `mlinfra.toml` or `.git`, else where we stand.

        `MLINFRA_HOME` moves the user's folder. Creates nothing.
        """
        here = (start or Path.cwd()).resolve()
        roots = (folder for folder in (here, *here.parents) if _is_project(folder))
        home = os.environ.get("MLINFRA_HOME")
        state = Path(home) if home else _user_state()
        return cls(project=next(roots, here) / PROJECT_FOLDER, state=state)

    def for_emulated(self, name: str) -> Folders:
        """The same project, with records apart for an emulated environment: they end with its emulator."""
        there = replace(self, emulated=name)
        return replace(there, state=there.records / "state")

    @property
    def records(self) -> Path:
        """What the kit remembers of environments: all real ones together, each emulated one by itself."""
        return self.project / "emulated" / self.emulated if self.emulated else self.project

    @property
    def root(self) -> Path:
        """The folder of the project itself."""
        return self.project.parent

    @property
    def config(self) -> Path:
        """The project's settings."""
        return self.root / PROJECT_FILE

    @property
    def journal(self) -> Path:
        """The write-ahead record of effects."""
        return self.records / "journal.db"

    @property
    def cache(self) -> Path:
        """Content-addressed bundles, locks and digests: may be deleted at any time."""
        return self.records / "cache"

    @property
    def environments(self) -> Path:
        """One JSON document for each environment that the project knows."""
        return self.project / "environments"

    def pace(self, environment_id: str) -> Path:
        """What all clients of an environment on this machine share: its token buckets."""
        return self.state / "pace" / f"{hashlib.sha256(environment_id.encode()).hexdigest()[:16]}.db"

    def ensure(self) -> Folders:
        """Create both folders; the project's is hidden from version control."""
        self.project.mkdir(parents=True, exist_ok=True)
        ignore = self.project / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        self.records.mkdir(parents=True, exist_ok=True)
        self.state.mkdir(parents=True, exist_ok=True)
        return self


def _is_project(folder: Path) -> bool:
    return (folder / PROJECT_FILE).is_file() or (folder / ".git").exists()


def _user_state() -> Path:
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "mlinfra"
