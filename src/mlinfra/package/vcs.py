"""What version control ignores below a folder: asked of git where it answers, else read from the .gitignore files."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from mlinfra.package.git import run_git

if TYPE_CHECKING:
    from pathlib import Path

    from pathspec import GitIgnoreSpec

_RULES = ".gitignore"
_ASK = ["ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z"]
_PATIENCE = 60  # s; a work tree of a million files takes a few


class VersionControl:
    """Answers for one folder, which may lie anywhere in a work tree, hold several, or none.

    Paths are asked from the top down, so that nothing below an ignored folder is ever asked about.
    """

    def __init__(self, top: Path) -> None:
        self._top = top
        self._trees: dict[str, _Tree] = {"": _tree(top)}

    def ignores(self, path: str, *, folder: bool) -> bool:
        """Would version control leave this path alone? `path` starts at the folder, with slashes."""
        tree = self._tree_of(path.rpartition("/")[0])
        inside = path[len(tree.prefix) :]
        return tree.ignores(f"{inside}/" if folder else inside)

    def _tree_of(self, folder: str) -> _Tree:
        if folder not in self._trees:
            place = self._top / folder
            above = folder.rpartition("/")[0]
            nested = (place / ".git").exists()
            self._trees[folder] = _tree(place, prefix=f"{folder}/") if nested else self._tree_of(above)
        return self._trees[folder]


def read_patterns(place: Path) -> GitIgnoreSpec | None:
    """The patterns of a file in the form of .gitignore, None where there is no such file."""
    try:
        lines = place.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    from pathspec import GitIgnoreSpec  # noqa: PLC0415  50 ms that a folder without such files does not pay

    return GitIgnoreSpec.from_lines(lines)


class _Tree:
    """One work tree, or a folder that is in none."""

    def __init__(self, place: Path, prefix: str, ignored: frozenset[str] | None) -> None:
        self.prefix = prefix
        self._place = place
        self._ignored = ignored
        self._rules: dict[str, GitIgnoreSpec | None] = {}

    def ignores(self, path: str) -> bool:
        """Is `path`, from this tree's top and with a slash at the end of a folder, ignored?"""
        if self._ignored is not None:
            return path in self._ignored
        folder = path.rstrip("/").rpartition("/")[0]
        while True:  # the rules nearest to the file have the last word
            verdict = self._verdict(folder, path)
            if verdict is not None or not folder:
                return bool(verdict)
            folder = folder.rpartition("/")[0]

    def _verdict(self, folder: str, path: str) -> bool | None:
        if folder not in self._rules:
            self._rules[folder] = read_patterns(self._place / folder / _RULES)
        rules = self._rules[folder]
        return rules.check_file(path[len(folder) + 1 :] if folder else path).include if rules else None


def _tree(place: Path, prefix: str = "") -> _Tree:
    return _Tree(place, prefix, _ask_git(place))


def _ask_git(place: Path) -> frozenset[str] | None:
    """What git ignores below `place`; None without git, outside a work tree, and where the folder itself is ignored.

    In that last case somebody points at a folder that a surrounding repository does not keep: a build or scratch
    folder, whose content is meant.
    """
    try:
        answer = run_git(_ASK, place, timeout=_PATIENCE)
    except (OSError, subprocess.SubprocessError):
        return None
    ignored = frozenset(name.decode(errors="surrogateescape") for name in answer.split(b"\0") if name)
    return None if "./" in ignored else ignored
