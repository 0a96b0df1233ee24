"""Locks a job's requirements when it is submitted, so that it means the same tomorrow and everywhere."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement

from mlinfra.errors import SpecError
from mlinfra.package.atomic import new_file
from mlinfra.package.closure import pin_installed, read_requirements
from mlinfra.package.installed import inspect, normalise
from mlinfra.package.uvtool import run_uv

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlinfra.package.closure import Wanted

_FORMAT = 1  # raise when the same requirements are locked into another text


@dataclass(frozen=True, slots=True)
class Lock:
    """Every package that a job will see, in the form of a requirements file with exact versions."""

    text: str
    digest: str  # of the text, "sha256:<hex>"
    packages: tuple[str, ...]  # "name==version", in the order of the text

    @classmethod
    def of(cls, text: str) -> Lock:
        """The lock that a text holds. Raises SpecError where a line is no requirement."""
        return cls(text, f"sha256:{hashlib.sha256(text.encode()).hexdigest()}", tuple(_packages(text)))


def lock(
    requirements: Path | None,
    python: str,
    *,
    index: str | None = None,
    cache: Path,
    candidates: Iterable[Path] = (),
    platform: str | None = None,
) -> Lock:
    """Lock a requirements file for a Python such as "3.11".

    First what is installed: if this interpreter or one of `candidates` has that Python and satisfies the file, its
    versions are the lock and no network is used. Else uv resolves, for `platform` (uv's word, `linux`) where it is
    not this machine, and the answer is kept below `cache` until the file changes. `index` is a package index in
    place of the configured one. Without a file the lock is empty.
    Blocks while uv works. Raises SpecError for what is no requirements file or cannot be met, Unavailable where the
    package index gives no answer, CapabilityError without uv.
    """
    if requirements is None:
        return Lock.of("")
    wanted = read_requirements(requirements)
    if platform is None:
        for place in dict.fromkeys([Path(sys.executable), *candidates]):
            at_hand = inspect(place)
            pins = pin_installed(wanted, at_hand) if at_hand and at_hand.version == python else None
            if pins is not None:
                return Lock.of("".join(f"{name}=={version}\n" for name, version in pins.items()))
    kept = cache / "locks" / f"{_key(wanted, python, index, platform)}.txt"
    if not kept.exists():
        text = _compile(requirements, python, index, platform)
        with new_file(kept) as file:
            file.write(text.encode())
    return Lock.of(kept.read_text(encoding="utf-8"))


def _key(wanted: Wanted, python: str, index: str | None, platform: str | None) -> str:
    asked = [_FORMAT, wanted.texts, python, index, platform or sys.platform]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _compile(requirements: Path, python: str, index: str | None, platform: str | None) -> str:
    arguments = ["pip", "compile", str(requirements.resolve()), "--python-version", python]
    arguments += ["--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
    arguments += ["--default-index", index] if index else []
    arguments += ["--python-platform", platform] if platform else []
    text = run_uv(arguments, requirements.resolve().parent, about=str(requirements))
    for line in text.splitlines():
        if line.startswith(("-e", ".", "/")) or "@ file:" in line or "file:///" in line:
            raise SpecError(
                "a requirement lies in a folder of this machine",
                given=line,
                allowed="packages of an index or of version control",
                todo="put it into the job's own code",
            )
    return text


def _packages(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        words = line.partition(" --hash")[0].partition(" #")[0].strip()
        if not words or words.startswith("#"):
            continue
        try:
            requirement = Requirement(words)
        except InvalidRequirement as exc:
            raise SpecError("a lock holds what is no requirement", given=words, todo="remove the cache folder") from exc
        yield f"{normalise(requirement.name)}{requirement.specifier}" if not requirement.url else str(requirement)
