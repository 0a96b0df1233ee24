"""The manifest's digest, and that nothing changed passes for what was saved."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlinfra.errors import CapabilityError, IntegrityError, NotFound
from mlinfra.modelkit import MANIFEST_NAME, Manifest, Schema
from mlinfra.modelkit.manifest import FileDigest

Save = Callable[..., tuple[Path, Manifest]]


def edit(folder: Path, **fields: Any) -> None:
    path = folder / MANIFEST_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_a_manifest_comes_back_as_it_was_written(save: Save) -> None:
    folder, manifest = save()

    assert Manifest.read(folder) == manifest
    assert json.loads((folder / MANIFEST_NAME).read_text()) == json.loads(json.dumps(manifest.as_document()))


def test_the_document_has_the_agreed_keys(save: Save) -> None:
    document = save()[1].as_document()

    agreed = {"version", "name", "format", "entry", "method", "schema", "baseline", "example", "python", "requirements"}
    assert agreed | {"files", "sealed", "digest", "run", "evaluations"} <= set(document)
    assert document["digest"].startswith("sha256:")
    assert set(document["files"]["model.joblib"]) == {"sha256", "size"}


CHANGES: dict[str, Any] = {
    "format": "skops",
    "entry": "other",
    "method": "predict_proba",
    "schema": Schema.from_document({"inputs": {"a": {"type": "string"}}}),
    "input": {"form": "objects"},
    "requirements": ("numpy==1.0",),
    "python": "3.8",
    "files": {"model.joblib": FileDigest("0" * 64, 1)},
    "sealed": {"reason": "other"},
}
REMARKS: dict[str, Any] = {
    "name": "other",
    "run": {"id": "x"},
    "evaluations": ({"auc": 0.9},),
    "baseline": {},
    "example": None,
}


@pytest.mark.parametrize("field", CHANGES)
def test_what_changes_an_answer_changes_the_digest(save: Save, field: str) -> None:
    manifest = save()[1]

    assert dataclasses.replace(manifest, **{field: CHANGES[field]}).digest != manifest.digest


@pytest.mark.parametrize("field", REMARKS)
def test_remarks_leave_the_digest_alone(save: Save, field: str) -> None:
    manifest = save()[1]

    assert dataclasses.replace(manifest, **{field: REMARKS[field]}).digest == manifest.digest


def test_the_order_of_columns_is_part_of_the_digest() -> None:
    columns = {"a": {"type": "number"}, "b": {"type": "number"}}
    one = Manifest(format="onnx", entry="m", schema=Schema.from_document({"inputs": columns}))
    turned = Schema.from_document({"inputs": dict(reversed(columns.items()))})

    assert dataclasses.replace(one, schema=turned).digest != one.digest


def test_an_intact_package_verifies(save: Save) -> None:
    folder, manifest = save()

    manifest.verify(folder)


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(path.read_bytes() + b"\0"),
        lambda path: path.write_bytes(b"\0" + path.read_bytes()[1:]),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
    ],
    ids=["longer", "flipped", "emptied", "removed"],
)
def test_a_harmed_file_is_an_integrity_error(save: Save, harm: Callable[[Path], Any]) -> None:
    folder, manifest = save()
    harm(folder / "model.joblib")

    with pytest.raises(IntegrityError, match=r"model\.joblib"):
        manifest.verify(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a/../../b", "..", "", "a\\..\\b", "a\0b"])
def test_a_path_out_of_the_folder_is_never_opened(tmp_path: Path, name: str) -> None:
    manifest = Manifest(format="onnx", entry="m", files={name: FileDigest("0" * 64, 1)})

    with pytest.raises(IntegrityError, match="outside its folder"):
        manifest.verify(tmp_path)


def test_a_stranger_beside_a_model_of_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("def predict(rows): return rows\n")
    manifest = Manifest(format="python", entry="model.py", files={})

    with pytest.raises(IntegrityError, match="its manifest lacks"):
        manifest.verify(tmp_path)


def test_no_manifest_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Manifest.read(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"version": 1}', "[" * 100_000])
def test_what_is_no_manifest_is_an_integrity_error(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text)

    with pytest.raises(IntegrityError):
        Manifest.read(tmp_path)


@pytest.mark.parametrize(
    "fields",
    [
        {"format": "pickle"},
        {"method": "__reduce__"},
        {"files": {"model.joblib": {"sha256": "0" * 64, "size": 1}}},
        {"files": [1]},
        {"files": {"model.joblib": {}}},
        {"schema": {"inputs": {"a": {"type": "number"}}}},
        {"schema": 7},
        {"requirements": None},
        {"digest": "sha256:0"},
        {"entry": "other.joblib"},
        {"version": 0},
    ],
)
def test_an_edited_manifest_is_an_integrity_error(save: Save, fields: dict[str, Any]) -> None:
    folder, _ = save()
    edit(folder, **fields)

    with pytest.raises(IntegrityError):
        Manifest.read(folder)


def test_a_newer_manifest_asks_for_a_newer_kit(save: Save) -> None:
    folder, _ = save()
    edit(folder, version=2)

    with pytest.raises(CapabilityError, match="newer"):
        Manifest.read(folder)
