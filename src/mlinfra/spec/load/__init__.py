"""Spec files to specs: every problem of every file at once, each with its line, and nothing done on an error."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from stat import S_ISREG

from mlinfra.errors import NotFound, Problem, UsageError
from mlinfra.spec.findings import Finding
from mlinfra.spec.limits import MAX_FILE_BYTES
from mlinfra.spec.load.compose import compose
from mlinfra.spec.load.documents import LoadedSpec, Source, read
from mlinfra.spec.load.text import decode
from mlinfra.spec.problems import problem, spec_error

__all__ = ["LoadedSpec", "load", "load_text"]


def load(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], *, project: Path | None = None
) -> list[LoadedSpec]:
    """The specs of one file or several, in their order; SpecError with every problem of all of them.

    No path may leave `project`, by default each file's own folder. NotFound where there is no such file.
    """
    files = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    sources = [
        Source(os.fspath(file), Path(file).parent, project or Path(file).parent, _read(Path(file))) for file in files
    ]
    return _specs(sources)


def load_text(
    text: str, *, file_name: str = "<text>", base: Path | None = None, project: Path | None = None
) -> list[LoadedSpec]:
    """As `load`, from a text. Its paths are relative to `base`, by default the current folder."""
    folder = base or Path.cwd()
    return _specs([Source(file_name, folder, project or folder, text.encode(errors="surrogatepass"))])


def _read(path: Path) -> bytes:
    """At most one byte more than allowed, so that a device or a huge file costs nothing."""
    try:
        if not S_ISREG(path.stat().st_mode):
            raise UsageError("not a file", given=str(path), allowed="spec files", todo="name the files in it")
        with path.open("rb") as stream:
            return stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise NotFound("no such file", given=str(path), todo="correct the path") from None
    except OSError as error:
        todo = "check its path and permissions"
        raise UsageError(f"cannot be read: {error.strerror}", given=str(path), todo=todo) from error


def _specs(sources: list[Source]) -> list[LoadedSpec]:
    loaded: list[LoadedSpec] = []
    problems: list[Problem] = []
    for source in sources:
        text = decode(source.data, source.file)
        if isinstance(text, Problem):
            problems.append(text)
            continue
        documents, faults = compose(text, source.file)
        if not documents and not faults:
            allowed = "one document or several, each with its kind"
            faults = [Problem("nothing in it", "", source.file, 1, 1, "", allowed, "see `mlinfra init`")]
        problems.extend(faults)
        marked = {(fault.line, fault.column) for fault in faults}
        for number, document in enumerate(documents):
            one, found = read(document, source, is_first=number == 0)
            problems.extend(fault for fault in found if (fault.line, fault.column) not in marked)
            loaded.extend([one] if one else [])
    problems.extend(_repeated(loaded))
    if problems:
        raise spec_error(", ".join(source.file for source in sources), problems)
    return loaded


def _repeated(loaded: Iterable[LoadedSpec]) -> Iterator[Problem]:
    first: dict[tuple[str, str], LoadedSpec] = {}
    for one in loaded:
        other = first.setdefault((one.spec.kind, one.spec.name), one)
        if other is not one:
            where = f"{other.file}:{other.positions.mark(('name',)).line}"
            what = f"a second {one.spec.kind} of this name; the first is in {where}"
            finding = Finding(
                ("name",), what, "each kind and name once", "rename one of them", one.spec.name, has_value=True
            )
            yield problem(finding, one.positions)
