"""The file: the same bytes each time, read by anyone, believed by nobody before it is checked."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression

from mlinfra.errors import CapabilityError, IntegrityError
from mlinfra.modelkit.sealing import open_sealed, seal
from mlinfra.modelkit.sealing.opened import open_program
from mlinfra.modelkit.sealing.program import Matrix, from_buffer, to_bytes


@pytest.fixture
def saved(data, tmp_path):
    """A sealed forest: its folder and its document."""
    estimator = RandomForestClassifier(5, random_state=0).fit(data.x, data.text)
    return tmp_path, seal(estimator, "predict", data.x[:50], tmp_path)


def _program(saved):
    folder, document = saved
    return from_buffer((folder / document["file"]).read_bytes())


def test_the_document_says_what_was_sealed_and_how_it_was_proved(saved):
    folder, document = saved
    assert document["kind"] == "forest-classifier"
    assert document["method"] == "predict"
    assert document["rows"] == "numbers"
    assert document["needs"] == []
    assert document["arithmetic"] == "exact"
    assert document["joinable"] is True
    assert list(document["libraries"]) == ["sklearn"]
    assert document["proof"]["rows"] > 1000
    assert document["proof"]["refused"] > 0
    content = (folder / document["file"]).read_bytes()
    assert document["sha256"] == hashlib.sha256(content).hexdigest()
    assert document["size"] == len(content)
    assert json.loads(json.dumps(document)) == document


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("estimator", "target", "expected"),
    [
        (RandomForestClassifier(3), "three", ("exact", [])),
        (HistGradientBoostingClassifier(max_iter=3), "binary", ("libm", [])),
        (HistGradientBoostingClassifier(max_iter=3), "three", ("simd", ["numpy"])),
        (LogisticRegression(max_iter=2000), "binary", ("blas", ["numpy"])),
    ],
)
def test_the_document_names_what_the_last_bits_depend_on(estimator, target, expected, data, tmp_path):
    document = seal(estimator.fit(data.x, getattr(data, target)), "predict_proba", None, tmp_path)
    assert (document["arithmetic"], document["needs"]) == expected


def test_sealing_again_gives_the_same_bytes_and_the_same_document(data, tmp_path):
    estimator = HistGradientBoostingClassifier(max_iter=5, categorical_features=[3]).fit(data.missing, data.three)
    documents, files = [], []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        documents.append(seal(estimator, "predict", data.missing[:50], tmp_path / name))
        files.append((tmp_path / name / "sealed.bin").read_bytes())
    assert documents[0] == documents[1]
    assert files[0] == files[1]


def test_a_program_survives_its_file(saved):
    program = _program(saved)
    again = from_buffer(to_bytes(program))
    assert replace(again, arrays={}) == replace(program, arrays={})
    assert {name: bytes(array) for name, array in again.arrays.items()} == {
        name: bytes(array) for name, array in program.arrays.items()
    }


def test_arrays_lie_at_multiples_of_64_bytes(saved):
    folder, document = saved
    content = (folder / document["file"]).read_bytes()
    nodes = bytes(_program(saved).array("nodes"))
    assert content.index(nodes) % 64 == 0


def test_a_changed_byte_is_found_before_anything_is_read(saved):
    folder, document = saved
    path = folder / document["file"]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="not the file that was saved"):
        open_sealed(folder, document)


@pytest.mark.parametrize("name", ["../sealed.bin", "/etc/passwd", "sub/sealed.bin", "", "."])
def test_a_document_cannot_lead_out_of_its_folder(name, saved):
    folder, document = saved
    with pytest.raises((IntegrityError, OSError)):
        open_sealed(folder, {**document, "file": name})


def test_a_file_that_is_missing_is_an_error_of_the_system(saved):
    folder, document = saved
    (folder / document["file"]).unlink()
    with pytest.raises(FileNotFoundError):
        open_sealed(folder, document)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"mlinfra",
        b"mlinfra sealed\r\n",
        b"mlinfra sealed\r\n" + b"\1\0\0\0" + b"\xff\xff\xff\xff",
        b"mlinfra sealed\r\n" + b"\1\0\0\0" + b"\2\0\0\0" + b"{}",
        b"mlinfra sealed\r\n" + b"\1\0\0\0" + b"\2\0\0\0" + b"[]",
        b"mlinfra sealed\r\n" + b"\1\0\0\0" + b"\x10\0\0\0" + b'{"places":{"a":1',
        b"mlinfra sealed\r\n" + b"\1\0\0\0" + b"\x10\x27\0\0" + b"[" * 10_000,
        b"\x80\x04\x95" + b"pickle" * 20,
    ],
)
def test_what_is_no_sealed_model_is_said_to_be_none(content):
    with pytest.raises(IntegrityError, match="not a sealed model"):
        from_buffer(content)


def test_a_later_format_is_told_apart_from_a_broken_file(saved):
    content = bytearray(to_bytes(_program(saved)))
    content[16] = 9
    with pytest.raises(CapabilityError, match="format"):
        from_buffer(bytes(content))


def _changed(saved, **changes):
    return to_bytes(replace(_program(saved), **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"form": "rows"},
        {"finish": "guess"},
        {"order": "D"},
        {"labels": ("good",)},
        {"labels": (["good"], "bad")},
        {"names": ("a",)},
        {"finish": "values"},
        {"finish": "pairs"},
        {"matrix": Matrix((12,), "C", "C")},
        {"kind": 7},
        {"columns": "12"},
        {"tables": ("ab", None)},
    ],
)
def test_a_header_that_contradicts_itself_is_broken(changes, saved):
    with pytest.raises(IntegrityError):
        from_buffer(_changed(saved, **changes))


@pytest.mark.parametrize("changes", [{"columns": 11}, {"columns": -1}, {"outputs": 5}, {"width": 3}, {"width": 0}])
def test_numbers_that_do_not_fit_the_arrays_are_found_when_it_is_opened(changes, saved):
    with pytest.raises(IntegrityError):
        open_program(from_buffer(_changed(saved, **changes)))


_ALONE = """
import sys
from mlinfra.modelkit.sealing import open_sealed
model = open_sealed({folder!r}, {document!r})
print(model.predict([[0.5] * 12]))
print([name for name in ("numpy", "sklearn", "scipy", "joblib", "pickle") if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("estimator", "method", "loaded"),
    [
        (RandomForestClassifier(5, random_state=0), "predict_proba", []),
        (HistGradientBoostingClassifier(max_iter=5), "predict_proba", []),
        (LogisticRegression(max_iter=2000), "predict_proba", ["numpy"]),
    ],
)
def test_a_sealed_model_starts_without_its_library_and_without_unpickling(estimator, method, loaded, data, tmp_path):
    estimator.fit(data.x, data.binary)
    document = seal(estimator, method, data.x[:50], tmp_path)
    code = _ALONE.format(folder=str(tmp_path), document=document)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    predictions, modules = done.stdout.splitlines()
    assert json.loads(predictions) == getattr(estimator, method)(np.full((1, 12), 0.5)).tolist()
    assert [name for name in json.loads(modules.replace("'", '"')) if name != "pickle" or not loaded] == loaded


def test_where_the_compiled_walk_is_missing_the_model_is_not_served_but_can_be_sealed(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlinfra.modelkit.sealing._walk", None)
    estimator = RandomForestClassifier(5, random_state=0).fit(data.x, data.text)
    document = seal(estimator, "predict", data.x[:50], tmp_path)
    assert document["proof"]["walk"] == "numpy"
    with pytest.raises(CapabilityError, match="compiled walk"):
        open_sealed(tmp_path, document)
    monkeypatch.undo()
    assert open_sealed(tmp_path, document).predict(data.x) == estimator.predict(data.x).tolist()


def test_a_walk_of_another_version_is_not_trusted(saved, monkeypatch):
    from mlinfra.modelkit.sealing import _walk  # noqa: PLC0415  it is patched here

    folder, document = saved
    monkeypatch.setattr(_walk, "ABI", 99)
    with pytest.raises(CapabilityError, match="another version"):
        open_sealed(folder, document)


def test_a_model_that_needs_numpy_says_so_where_it_is_missing(data, tmp_path):
    document = seal(LogisticRegression(max_iter=2000).fit(data.x, data.binary), "predict", None, tmp_path)
    code = f"""
import sys
sys.modules["numpy"] = None
from mlinfra.errors import CapabilityError
from mlinfra.modelkit.sealing import open_sealed
try:
    open_sealed({str(tmp_path)!r}, {document!r})
except CapabilityError as error:
    print(error.what)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "numpy" in done.stdout


@pytest.mark.parametrize("document", [{}, {"reason": "because"}, {"file": "sealed.bin"}, {"file": None, "sha256": "x"}])
def test_a_document_without_a_file_or_a_digest_opens_nothing(document, saved):
    with pytest.raises(IntegrityError):
        open_sealed(saved[0], document)


@pytest.mark.thorough
def test_small_files_hold_no_descriptor_and_large_ones_are_mapped(data, tmp_path):
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    small = RandomForestClassifier(3, max_depth=3, random_state=0).fit(data.x, data.text)
    large = RandomForestRegressor(150, random_state=0).fit(data.x, data.real)
    for estimator, held in ((small, 0), (large, 1)):
        document = seal(estimator, "predict", data.x[:20], tmp_path)
        assert (document["size"] > 1 << 20) == bool(held)
        before = descriptors()
        model = open_sealed(tmp_path, document)
        assert descriptors() - before == held
        assert model.predict(data.x[:50]) == estimator.predict(data.x[:50]).tolist()


@pytest.mark.parametrize(
    "example",
    [
        None,
        [[0.5] * 12, [1.5] * 12],
        [(0.5,) * 12],
        np.full((3, 12), 0.25),
        np.full((3, 12), 2),
        [{f"x{index}": 0.5 for index in range(12)}],
        np.array([[0.5] * 11 + [None]], dtype=object),
    ],
)
def test_an_example_may_come_in_any_form(example, data, tmp_path):
    estimator = RandomForestClassifier(3, random_state=0).fit(data.x, data.text)
    assert "reason" not in seal(estimator, "predict", example, tmp_path)


def test_the_proof_is_against_the_form_in_which_the_estimator_is_asked(data, tmp_path):
    """Where the server would hand over columns in another order, the sealed form must not claim to be equal."""
    estimator = RandomForestClassifier(3, random_state=0).fit(data.x, data.text)
    assert "reason" not in seal(estimator, "predict", data.x[:20], tmp_path, lambda rows: np.asarray(rows, np.float64))
    turned = seal(estimator, "predict", data.x[:20], tmp_path, lambda rows: np.asarray(rows, np.float64)[:, ::-1])
    assert "differs from the estimator" in turned["reason"]
