"""What a spec says about the world around it: paths in a project's folder, platforms with an adapter."""

from collections.abc import Iterator
from pathlib import Path

from mlinfra.spec.addresses import path_findings
from mlinfra.spec.findings import Finding
from mlinfra.spec.overlay import variants
from mlinfra.spec.platforms import platform_findings
from mlinfra.spec.problems import problem, spec_error
from mlinfra.spec.spec import Spec


def check_surroundings(spec: Spec, base: Path, project: Path | None = None) -> None:
    """Raise SpecError for every path that leaves `project` and every platform that no adapter serves.

    The loader has done it for what files say; do it for specs made in Python and after `with_settings`.
    Paths are relative to `base`, which is the project where none is given.
    """
    if findings := list(surrounding_findings(spec, base, project or base)):
        raise spec_error(f"{spec.kind} {spec.name}", map(problem, findings))


def surrounding_findings(spec: Spec, base: Path, project: Path) -> Iterator[Finding]:
    """The same for a caller that knows the positions; overlays are looked at too."""
    known: set[Finding] = set()
    for at, variant in variants(spec):
        for finding in (*path_findings(variant.local_paths(), base, project), *platform_findings(variant)):
            if finding not in known:
                yield finding._replace(loc=at + finding.loc)
            known.add(finding)
