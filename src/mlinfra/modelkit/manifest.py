"""`mlinfra-model.json`: what a model package is, and the digests that everything else leans on.

The digest covers whatever changes an answer. Name, lineage, evaluations and baseline may change without
making another model of it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mlinfra.errors import CapabilityError, IntegrityError, NotFound, SpecError
from mlinfra.modelkit.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST_NAME = "mlinfra-model.json"
VERSION = 1
FORMATS = ("sklearn", "mlflow", "onnx", "xgboost", "lightgbm", "skops", "python")
METHODS = ("predict", "predict_proba")
_CHUNK = 1 << 20
_RUNS_CODE = ("mlflow", "python")  # formats whose loading may run any file that lies in the folder


@dataclass(frozen=True)
class FileDigest:
    """One file of the package."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """A model package's description. `input` says in which form the model takes its rows (see inputs.py)."""

    format: str
    entry: str
    method: str = "predict"
    schema: Schema | None = None
    input: Mapping[str, Any] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()
    python: str | None = None
    files: Mapping[str, FileDigest] = field(default_factory=dict)
    sealed: Mapping[str, Any] | None = None
    name: str | None = None
    baseline: Mapping[str, Any] | None = None
    example: Mapping[str, Any] | None = None
    run: Mapping[str, Any] | None = None
    evaluations: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Manifest:
        """Read a package's manifest without looking at its other files.

        Raises NotFound where there is none, IntegrityError where it is not what was written.
        """
        path = Path(folder) / MANIFEST_NAME
        try:
            document = json.loads(path.read_bytes())
        except FileNotFoundError as exc:
            raise NotFound(f"no {MANIFEST_NAME} in this folder", given=str(folder)) from exc
        except (ValueError, RecursionError) as exc:
            raise IntegrityError("the model manifest is not JSON", given=str(path)) from exc
        return cls.from_document(document)

    @classmethod
    def from_document(cls, document: Any) -> Manifest:
        """The manifest that `as_document` gave; raises IntegrityError for any other."""
        version = document.get("version") if isinstance(document, dict) else None
        if isinstance(version, int) and version > VERSION:
            todo = "install a newer mlinfra-kit"
            raise CapabilityError("the model manifest is newer than this kit", given=version, todo=todo)
        try:
            manifest = cls._from_fields(document)
        except (KeyError, TypeError, AttributeError, ValueError, SpecError) as exc:
            raise IntegrityError("the model manifest is damaged", given=f"{type(exc).__name__}: {exc}") from exc
        if document["digest"] != manifest.digest:
            what = "the model manifest was changed after it was written"
            raise IntegrityError(what, given=document["digest"], allowed=manifest.digest)
        return manifest

    @classmethod
    def _from_fields(cls, document: dict[str, Any]) -> Manifest:
        if document["version"] != VERSION or document["format"] not in FORMATS or document["method"] not in METHODS:
            raise ValueError("unknown version, format or method")
        known = {item.name for item in dataclasses.fields(cls)}
        fields = {key: value for key, value in document.items() if key in known}
        fields["schema"] = Schema.from_document(document["schema"]) if document["schema"] else None
        fields["requirements"] = tuple(document["requirements"])
        fields["evaluations"] = tuple(document.get("evaluations", ()))
        fields["files"] = {name: FileDigest(**digest) for name, digest in document["files"].items()}
        return cls(**fields)

    def as_document(self) -> dict[str, Any]:
        """The manifest as it stands in its file, digest included."""
        return {"version": VERSION, **self._fields(), "digest": self.digest}

    def _fields(self) -> dict[str, Any]:
        fields = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        fields["schema"] = self.schema.as_document() if self.schema else None
        fields["files"] = {name: dataclasses.asdict(digest) for name, digest in sorted(self.files.items())}
        fields["requirements"] = list(self.requirements)
        fields["evaluations"] = list(self.evaluations)
        return fields

    @cached_property
    def digest(self) -> str:
        """`sha256:<hex>` over everything that changes an answer."""
        fields = self._fields()
        covered = {key: fields[key] for key in _COVERED}
        # sorted keys would hide the order of the columns, which is the order in which the model takes them
        covered["schema"] = list(fields["schema"]["inputs"].items()) if fields["schema"] else None
        text = json.dumps(covered, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    @property
    def schema_version(self) -> str | None:
        """The schema's short digest, None without a schema."""
        return self.schema.version if self.schema else None

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Put the manifest beside the files, atomically: a reader sees the old one or the new one."""
        text = json.dumps(self.as_document(), indent=2, ensure_ascii=False, allow_nan=False)
        write_atomically(Path(folder) / MANIFEST_NAME, f"{text}\n".encode())

    def verify(self, folder: str | os.PathLike[str]) -> None:
        """Compare every file with its digest; raise IntegrityError for the first that differs, is absent or strange."""
        root = Path(folder)
        for name, expected in self.files.items():
            self._verify_file(root, name, expected)
        if self.format in _RUNS_CODE:
            strangers = sorted(set(package_files(root, compiled=True)) - set(self.files))
            if strangers:
                todo = "remove it, or save the model again"
                raise IntegrityError("the package holds a file that its manifest lacks", given=strangers[0], todo=todo)

    def _verify_file(self, root: Path, name: str, expected: FileDigest) -> None:
        if not is_inside(name):
            raise IntegrityError("the manifest names a file outside its folder", given=name)
        try:
            found = digest_file(root / name)
        except OSError as exc:
            raise IntegrityError("a file of the model cannot be read", given=f"{name}: {exc.strerror}") from exc
        if found != expected:
            what = f"{name} is not the file that was saved"
            raise IntegrityError(what, given=f"sha256 {found.sha256}", allowed=f"sha256 {expected.sha256}")


_COVERED = ("format", "entry", "method", "schema", "input", "requirements", "python", "files", "sealed")


def digest_file(path: Path) -> FileDigest:
    """Digest and size of one file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return FileDigest(digest.hexdigest(), size)


def package_files(root: Path, *, compiled: bool = False) -> dict[str, Path]:
    """Every file under a folder but the manifest, by its path with forward slashes; bytecode only where asked for."""
    found = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}
    found.pop(MANIFEST_NAME, None)
    return {name: path for name, path in found.items() if compiled or "__pycache__" not in PurePosixPath(name).parts}


def is_inside(name: str) -> bool:
    """Whether a path from a manifest stays inside its folder."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name and "\0" not in name


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees all of it or nothing."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)  # noqa: PTH101  as other files of the package; mkstemp makes it private
        os.replace(temporary, path)  # noqa: PTH105  the name is a string here
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108  the name is a string here
        raise
