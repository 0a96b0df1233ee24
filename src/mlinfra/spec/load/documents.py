"""From one document of a file to one spec, or everything that is wrong with it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlinfra.errors import Problem
from mlinfra.spec.findings import Finding
from mlinfra.spec.kinds import known_kinds, model_of
from mlinfra.spec.limits import MAX_PROBLEMS
from mlinfra.spec.load.compose import Document
from mlinfra.spec.positions import Positions
from mlinfra.spec.problems import problem
from mlinfra.spec.spec import VERSION, Spec
from mlinfra.spec.surroundings import surrounding_findings
from mlinfra.spec.words import advise


@dataclass(frozen=True)
class Source:
    """A file as it was read. Paths in it are relative to `base` and may not leave `project`."""

    file: str
    base: Path
    project: Path
    data: bytes


@dataclass(frozen=True)
class LoadedSpec:
    """A spec with the file it stands in. Its paths are relative to `base`."""

    spec: Spec
    file: str
    base: Path
    positions: Positions

    def located(self, found: Problem) -> Problem:
        """A problem that knows its path alone, with file, line and column."""
        mark = self.positions.mark(self.positions.find(found.path))
        return replace(found, file=self.file, line=mark.line, column=mark.column)


def read(document: Document, source: Source, *, is_first: bool) -> tuple[LoadedSpec | None, list[Problem]]:
    """The spec of a document, or its problems."""
    findings = list(_header(document.value, is_first=is_first))
    spec = None
    if _is_known(document.value):
        body = {key: value for key, value in document.value.items() if key not in {"version", "kind"}}
        model = model_of(document.value["kind"])
        spec, faults = model.attempt(body)
        findings += faults
        if len(findings) <= MAX_PROBLEMS:
            sound = spec or model.sound_part(body, faults)[0]
            findings += surrounding_findings(sound, source.base, source.project)
    if findings or spec is None:
        return None, [problem(finding, document.positions) for finding in findings]
    return LoadedSpec(spec, source.file, source.base, document.positions), []


def _is_known(value: Any) -> bool:
    """Whether the document is of a kind and version that can be examined."""
    return isinstance(value, dict) and _has_version(value) and value.get("kind") in list(known_kinds())


def _has_version(value: dict[str, Any]) -> bool:
    version = value.get("version", VERSION)
    return version == VERSION and not isinstance(version, bool)


def _header(value: Any, *, is_first: bool) -> Iterator[Finding]:
    if not isinstance(value, dict):
        yield Finding(
            (), "not a mapping", "`version`, `kind` and the keys of that kind", "write `key: value` pairs", value, True
        )
        return
    if "version" not in value:
        if is_first:
            todo = f"begin the file with `version: {VERSION}`"
            yield Finding(("version",), "missing", str(VERSION), todo)
    elif not _has_version(value):
        what = "another version of the spec format"
        todo = f"write `version: {VERSION}`, or use the kit that the file was written for"
        yield Finding(("version",), what, str(VERSION), todo, value["version"], has_value=True)
    known = ", ".join(known_kinds())
    if "kind" not in value:
        yield Finding(("kind",), "missing", known, "say what the document describes: `kind: job`")
    elif value["kind"] not in list(known_kinds()):
        todo = advise(value["kind"], known_kinds(), "write one of the allowed kinds")
        yield Finding(("kind",), "unknown kind", known, todo, value["kind"], has_value=True)
