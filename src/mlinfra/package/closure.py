"""The quick way to a lock: when what is installed at hand satisfies the requirements, that is what is pinned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from mlinfra.errors import Problem, SpecError
from mlinfra.package.installed import normalise

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.package.installed import Interpreter

_NESTED = {"-r": False, "--requirement": False, "-c": True, "--constraint": True}  # option -> does it only constrain


@dataclass
class Wanted:
    """A requirements file with the files it names, read."""

    requirements: list[Requirement] = field(default_factory=list)
    constraints: dict[str, SpecifierSet] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)  # of each file, for a digest
    plain: bool = True  # names and versions alone: no index of its own, hashes, addresses or folders


def read_requirements(path: Path) -> Wanted:
    """Read a requirements file. Raises SpecError, with line, for what is none; with all problems of all files."""
    reader = _Reader()
    reader.read(path, constrain=False)
    if reader.problems:
        raise SpecError("the requirements cannot be read", problems=reader.problems)
    return reader.wanted


def pin_installed(wanted: Wanted, at_hand: Interpreter) -> dict[str, str] | None:
    """Normalised name -> version of all that the requirements lead to; None unless all of it is installed and fits."""
    if not wanted.plain:
        return None
    pins: dict[str, str] = {}
    pending = [(requirement, "") for requirement in wanted.requirements]
    done: set[tuple[str, str]] = set()
    while pending:
        requirement, extra = pending.pop()
        if requirement.marker and not requirement.marker.evaluate({**at_hand.markers, "extra": extra}):
            continue
        name = normalise(requirement.name)
        version = at_hand.version_of(name)
        if version is None or requirement.url or not _fits(requirement, version, wanted.constraints.get(name)):
            return None
        if not at_hand.comes_from_index(name):
            return None
        pins[name] = version.partition("+")[0]  # a build for one platform bears a name that the index may not know
        for wish in {"", *requirement.extras} - {seen for known, seen in done if known == name}:
            done.add((name, wish))
            pending.extend((Requirement(text), wish) for text in at_hand.requires(name))
    return dict(sorted(pins.items()))


def _fits(requirement: Requirement, version: str, constraint: SpecifierSet | None) -> bool:
    specifier = requirement.specifier & (constraint or SpecifierSet())
    return specifier.contains(version, prereleases=True)


class _Reader:
    """Reads a file and those that it names, each once, and gathers what is wrong in any of them."""

    def __init__(self) -> None:
        self.wanted = Wanted()
        self.problems: list[Problem] = []
        self._seen: set[Path] = set()

    def read(self, path: Path, *, constrain: bool) -> None:
        """Take in one file; `constrain` says that its lines only limit what others ask for."""
        if path.resolve() in self._seen:
            return
        self._seen.add(path.resolve())
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as exc:
            self.problems.append(Problem("cannot be read", file=str(path), given=str(exc), todo="check the path"))
            return
        self.wanted.texts.append(text)
        for number, line in _lines(text):
            option, value = _option(line)
            if option in _NESTED:
                self.read(path.parent / value, constrain=constrain or _NESTED[option])
            elif line.startswith(("-", ".", "/")) or " --hash" in line or "://" in line:
                self.wanted.plain = False
            else:
                self._take(line, path, number, constrain=constrain)

    def _take(self, line: str, path: Path, number: int, *, constrain: bool) -> None:
        try:
            requirement = Requirement(line)
        except InvalidRequirement as exc:
            reason = str(exc).partition("\n")[0]
            self.problems.append(Problem(f"not a requirement: {reason}", file=str(path), line=number, given=line))
            return
        if constrain:
            name = normalise(requirement.name)
            self.wanted.constraints[name] = self.wanted.constraints.get(name, SpecifierSet()) & requirement.specifier
        else:
            self.wanted.requirements.append(requirement)


def _option(line: str) -> tuple[str, str]:
    """An option and its value, which a space or, after a long option, an equals sign parts."""
    spaced = line.replace("=", " ", 1) if line.startswith("--") else line
    option, _, value = spaced.partition(" ")
    return option, value.strip()


def _lines(text: str) -> list[tuple[int, str]]:
    """The lines that say something, with the number at which each begins."""
    found: list[tuple[int, str]] = []
    held = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = held + raw.partition(" #")[0].strip() if not raw.lstrip().startswith("#") else held
        held = f"{line[:-1].strip()} " if line.endswith("\\") else ""
        if line and not held:
            found.append((number, line))
    return found
