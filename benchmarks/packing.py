"""How long it takes to name and pack what has not changed, beside the same work done cold.

    python benchmarks/packing.py

Takes 1 GB below the temporary folder for half a minute. Ends with exit code 1 when a bar is missed.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.package import build_bundle, statcache, tree_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.package.walk import File

BAR = 0.5  # s for the same content again
SETTLED = 0.05  # s after which a file's times can no longer hide a second write
GIGABYTE = 1_000_000_000


@dataclass
class Row:
    """One kind of content, measured four ways, in seconds."""

    name: str
    cold: float
    first: float
    again: float
    changed: float
    read_after_change: int

    @property
    def holds(self) -> bool:
        """Is the bar met, and was the changed file alone read?"""
        return self.again <= BAR and self.read_after_change == 1


def main() -> int:
    """Measure everything and print one row each."""
    print(f"{'content':<28} {'cold s':>8} {'first s':>8} {'again s':>8} {'1 changed s':>12} {'files read':>11}")
    rows = [
        measure("10,000 files, 10 MB", lambda place: fill(place, 10_000, 1_000), digest),
        measure("10,000 files, 1 GB", lambda place: fill(place, 10_000, GIGABYTE // 10_000), digest),
        measure("1 file, 1 GB", lambda place: fill(place, 1, GIGABYTE), digest),
        measure("code of 2,000 files, 20 MB", lambda place: fill(place, 2_000, 10_000), pack),
    ]
    missed = [row.name for row in rows if not row.holds]
    print(
        f"bar: the same again in {BAR} s, one changed file alone read again: {'missed by ' if missed else 'held'}",
        *missed,
    )
    return 1 if missed else 0


def measure(name: str, make: Callable[[Path], None], work: Callable[[Path, Path], object]) -> Row:
    """Do `work` on new content without a memory, with one, again, and after one file has changed."""
    scratch = Path(tempfile.mkdtemp(prefix="packing-"))
    try:
        content, cache = scratch / "content", scratch / "cache"
        make(content)
        time.sleep(SETTLED)
        cold = timed(lambda: work(content, scratch / "another-cache"))
        first = timed(lambda: work(content, cache))
        again = timed(lambda: work(content, cache))
        next(path for path in content.rglob("*") if path.is_file()).write_bytes(b"changed")
        time.sleep(SETTLED)
        reads = count_reads(content)
        changed = timed(lambda: work(content, cache))
        row = Row(name, cold, first, again, changed, len(reads))
        print(f"{name:<28} {cold:>8.3f} {first:>8.3f} {again:>8.3f} {changed:>12.3f} {len(reads):>11}")
        return row
    finally:
        shutil.rmtree(scratch)


def digest(content: Path, cache: Path) -> object:
    """Name a folder of inputs or a model."""
    return tree_digest(content, cache)


def pack(content: Path, cache: Path) -> object:
    """Pack a folder of code."""
    return build_bundle(content, cache=cache)


def fill(place: Path, files: int, size: int) -> None:
    """Write so many files of so many bytes, a hundred to a folder."""
    for number in range(files):
        folder = place / f"{number // 100:04}"
        if number % 100 == 0:
            folder.mkdir(parents=True)
        (folder / f"{number}.bin").write_bytes(number.to_bytes(8, "big") * (size // 8))


def timed(action: Callable[[], object]) -> float:
    """Seconds that an action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def count_reads(content: Path) -> list[str]:
    """From now on, the files of `content` whose bytes are read."""
    seen: list[str] = []
    read = statcache._read  # noqa: SLF001  counting what is read is the point

    def counted(file: File) -> object:
        if file.source.startswith(str(content.resolve())):
            seen.append(file.path)
        return read(file)

    statcache._read = counted  # type: ignore[assignment]  # noqa: SLF001  as above
    return seen


if __name__ == "__main__":
    sys.exit(main())
