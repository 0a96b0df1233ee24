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
    wanted = Wanted()
    problems: list[Problem] = []
    _read(path, wanted, problems, constrain=False, seen=set())
    if problems:
        raise SpecError("the requirements cannot be read", problems=problems)
    return wanted


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


def _read(path: Path, wanted: Wanted, problems: list[Problem], *, constrain: bool, seen: set[Path]) -> None:
    if path.resolve() in seen:
        return
    seen.add(path.resolve())
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        problems.append(Problem("cannot be read", file=str(path), given=str(exc), todo="check the path"))
        return
    wanted.texts.append(text)
    for number, line in _lines(text):
        option, _, value = line.replace("=", " ", 1).partition(" ") if line.startswith("--") else line.partition(" ")
        if option in _NESTED:
            nested = path.parent / value.strip()
            _read(nested, wanted, problems, constrain=constrain or _NESTED[option], seen=seen)
        elif line.startswith(("-", ".", "/")) or " --hash" in line or "://" in line:
            wanted.plain = False
        else:
            _take(
                line, Problem("not a requirement", file=str(path), line=number), wanted, problems, constrain=constrain
            )


def _take(line: str, place: Problem, wanted: Wanted, problems: list[Problem], *, constrain: bool) -> None:
    try:
        requirement = Requirement(line)
    except InvalidRequirement as exc:
        reason = str(exc).partition("\n")[0]
        problems.append(
            Problem(place.what, file=place.file, line=place.line, given=line, allowed="name==1.2", todo=reason)
        )
        return
    if constrain:
        name = normalise(requirement.name)
        wanted.constraints[name] = wanted.constraints.get(name, SpecifierSet()) & requirement.specifier
    else:
        wanted.requirements.append(requirement)


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
