"""Files in, files out: the order kept, wrong rows reported, a killed run resumed, nothing half written."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlinfra.errors import Conflict, InputRejected, MlinfraError, NotFound, UsageError
from mlinfra.modelkit import load_predictor, save_model
from mlinfra.serving import batch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MATRIX = np.random.default_rng(9).normal(size=(25, 4))
NAMES = [f"x{index}" for index in range(4)]
APPLICANTS = [
    {"age": 20 + index, "income": 1500.5 + index, "home": ["rent", "owner"][index % 2]} for index in range(25)
]


def lines(path: Path, rows: Any) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def table(path: Path, names: list[str], rows: Any) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        writer.writerows(rows)
    return path


def array(path: Path, rows: Any) -> Path:
    np.save(path, np.asarray(rows))
    return path


def parquet(path: Path, rows: Any) -> Path:
    pq.write_table(pa.table({name: np.asarray(rows)[:, index] for index, name in enumerate(NAMES)}), path)
    return path


def arrow(path: Path, rows: Any) -> Path:
    content = pa.table({name: np.asarray(rows)[:, index] for index, name in enumerate(NAMES)})
    with path.open("wb") as stream, pa.ipc.new_file(stream, content.schema) as writer:
        writer.write_table(content, max_chunksize=7)
    return path


WRITE: dict[str, Callable[[Path, Any], Path]] = {
    "jsonl": lambda path, rows: lines(path, rows.tolist()),
    "csv": lambda path, rows: table(path, NAMES, rows.tolist()),
    "npy": array,
    "parquet": parquet,
    "arrow": arrow,
}
READ: dict[str, Callable[[Path], Any]] = {
    "jsonl": lambda path: [json.loads(line) for line in path.read_text().splitlines()],
    "csv": lambda path: [[float(cell) for cell in row] for row in csv.reader(path.read_text().splitlines())],
    "npy": lambda path: np.load(path).tolist(),
    "parquet": lambda path: pq.read_table(path)["prediction"].to_pylist(),
    "arrow": lambda path: pa.ipc.open_file(path.read_bytes()).read_all()["prediction"].to_pylist(),
}


@pytest.mark.parametrize("kind", WRITE)
def test_every_kind_of_file_gives_the_bits_of_the_predictor(packages: Path, tmp_path: Path, kind: str):
    source, target = WRITE[kind](tmp_path / f"in.{kind}", MATRIX), tmp_path / f"out.{kind}"
    summary = batch.run(packages / "chances", source, target, size=10)

    predictor = load_predictor(packages / "chances")
    expected = [row for at in (0, 10, 20) for row in predictor.predict(MATRIX[at : at + 10].tolist())]
    assert READ[kind](target) == expected
    assert (summary.rows, summary.rejected) == (25, 0)
    assert {path.name for path in tmp_path.iterdir()} == {source.name, target.name}


@pytest.mark.parametrize("kind", WRITE)
def test_labels_are_written_too(packages: Path, tmp_path: Path, kind: str):
    source, target = lines(tmp_path / "in.jsonl", APPLICANTS), tmp_path / f"out.{kind}"
    batch.run(packages / "applicants", source, target, size=7)
    expected = load_predictor(packages / "applicants").predict(
        [[row["age"], row["income"], row["home"], None] for row in APPLICANTS]
    )
    read = {**READ, "csv": lambda path: path.read_text().splitlines()}
    assert read[kind](target) == expected


@pytest.mark.parametrize("kind", ["jsonl", "csv", "npy", "parquet"])
def test_rejected_rows_are_reported_and_leave_a_gap(packages: Path, tmp_path: Path, kind: str):
    rows = MATRIX.copy()
    rows[3, 1], rows[12, 0], rows[12, 2] = 1e9, -1e9, 1e9
    source, target = WRITE[kind](tmp_path / f"in.{kind}", rows), tmp_path / "out.jsonl"
    summary = batch.run(packages / "chances", source, target, size=10)

    found = READ["jsonl"](target)
    assert [place for place, row in enumerate(found) if row is None] == [3, 12]
    assert len(found) == 25
    report = READ["jsonl"](tmp_path / "out.jsonl.rejected.jsonl")
    assert [(item["row"], item["column"]) for item in report] == [(3, "x1"), (12, "x0"), (12, "x2")]
    assert "from -100 to 100" in report[0]["allowed"]
    assert (summary.rows, summary.rejected) == (25, 2)
    for gaps in ("npy", "csv", "parquet"):
        batch.run(packages / "numbers", WRITE["npy"](tmp_path / "in2.npy", MATRIX), tmp_path / f"plain.{gaps}")
        batch.run(packages / "chances", source, tmp_path / f"gaps.{gaps}", size=10)
    assert np.isnan(np.load(tmp_path / "gaps.npy")[[3, 12]]).all()
    assert np.load(tmp_path / "plain.npy").dtype.kind == "i"
    assert (tmp_path / "gaps.csv").read_text().splitlines()[3] == ","
    assert pq.read_table(tmp_path / "gaps.parquet")["prediction"].to_pylist()[3] is None


def test_lines_that_cannot_be_read_are_rejected_alone(packages: Path, tmp_path: Path):
    good = MATRIX[:6].tolist()
    mixed = [
        good[0],
        "{broken",
        good[1],
        "[1, 2]",
        "9" * 400,
        json.dumps(good[2]) + " x",
        '{"x0":1,"x0":2}',
        good[3],
        "",
    ]
    target = tmp_path / "out.jsonl"
    batch.run(packages / "chances", lines(tmp_path / "in.jsonl", mixed), target)
    found = READ["jsonl"](target)
    assert [row is None for row in found] == [False, True, False, True, True, True, True, False]
    assert found[0] == load_predictor(packages / "chances").predict([good[0], good[1], good[3]])[0]


def test_ragged_csv_is_rejected_by_row(packages: Path, tmp_path: Path):
    source = tmp_path / "in.csv"
    source.write_text("1,2,3,4\n1,2,3\n\n5,6,7,8\n1,2,3,4,5\n")
    batch.run(packages / "chances", source, tmp_path / "out.jsonl")
    assert [row is None for row in READ["jsonl"](tmp_path / "out.jsonl")] == [False, True, False, True]


def test_integers_beyond_two_to_the_53_are_not_rounded_into_the_model(packages: Path, tmp_path: Path):
    source = lines(tmp_path / "in.jsonl", [{"age": 30, "income": 9007199254740993.0, "home": "rent"}])
    source.write_text(source.read_text() + '{"age":30,"income":9007199254740993,"home":"rent"}\n')
    batch.run(packages / "applicants", source, tmp_path / "out.jsonl")
    found = READ["jsonl"](tmp_path / "out.jsonl")
    assert (found[0] is None, found[1]) == (False, None)


def test_what_a_model_without_a_schema_refuses_is_found(tmp_path: Path):
    (tmp_path / "m.py").write_text(
        "def predict(rows):\n    if any(row[0] > 5 for row in rows):\n        raise ValueError('too large')\n"
        "    return [row[0] for row in rows]\n"
    )
    save_model(tmp_path / "m.py", tmp_path / "m", example=None)
    source = lines(tmp_path / "in.jsonl", [[1], [9], [2]])
    batch.run(tmp_path / "m", source, tmp_path / "out.jsonl")
    assert READ["jsonl"](tmp_path / "out.jsonl") == [1, None, 2]
    assert "too large" in READ["jsonl"](tmp_path / "out.jsonl.rejected.jsonl")[0]["allowed"]


def test_strict_writes_nothing(packages: Path, tmp_path: Path):
    rows = MATRIX.copy()
    rows[13, 1] = 1e9
    source, target = WRITE["npy"](tmp_path / "in.npy", rows), tmp_path / "out.jsonl"
    with pytest.raises(InputRejected) as caught:
        batch.run(packages / "chances", source, target, size=10, strict=True)
    assert [(cell["row"], cell["column"]) for cell in caught.value.rows] == [(13, "x1")]
    assert not target.exists()


def test_an_empty_file_has_no_predictions(packages: Path, tmp_path: Path):
    for kind in ("jsonl", "csv"):
        (tmp_path / f"in.{kind}").write_text("")
        assert batch.run(packages / "chances", tmp_path / f"in.{kind}", tmp_path / f"out.{kind}").rows == 0
        assert (tmp_path / f"out.{kind}").read_text() == ""


def begin(package: Path, source: Path, target: Path, *options: str) -> subprocess.Popen[str]:
    arguments = ["--model", str(package), "--input", str(source), "--output", str(target), *options]
    command = [sys.executable, "-m", "mlinfra.serving", "batch", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})


def test_a_killed_run_goes_on_where_it_stood(packages: Path, tmp_path: Path):
    rows = [{"seconds": 0.05 + index / 1e6} for index in range(60)]
    source, target = lines(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    process = begin(packages / "slow", source, target, "--chunk", "2")
    assert process.stdout
    for line in process.stdout:
        if json.loads(line).get("rows", 0) >= 10:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    assert not target.exists()

    summary = batch.run(packages / "slow", source, target, size=2)
    assert summary.resumed >= 10
    assert READ["jsonl"](target) == [row["seconds"] for row in rows]
    assert not (tmp_path / "out.jsonl.parts").exists()


def test_what_was_kept_for_other_rows_does_not_count(packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, target = lines(tmp_path / "in.jsonl", MATRIX[:4].tolist()), tmp_path / "out.jsonl"
    monkeypatch.setattr(batch, "_finish", lambda *_: (_ for _ in ()).throw(NotFound("as if killed")))
    with pytest.raises(NotFound):
        batch.run(packages / "chances", source, target)
    monkeypatch.undo()
    lines(source, MATRIX[4:8].tolist())
    os.utime(source, (1, 1))
    assert batch.run(packages / "chances", source, target).resumed == 0
    assert READ["jsonl"](target) == load_predictor(packages / "chances").predict(MATRIX[4:8].tolist())


def test_two_runs_do_not_mix(packages: Path, tmp_path: Path):
    source, target = lines(tmp_path / "in.jsonl", [{"seconds": 0.5}] * 4), tmp_path / "out.jsonl"
    process = begin(packages / "slow", source, target, "--chunk", "1")
    assert process.stdout
    process.stdout.readline()
    until = time.monotonic() + 20
    while not (tmp_path / "out.jsonl.parts" / "identity").exists() and time.monotonic() < until:
        time.sleep(0.01)
    with pytest.raises(Conflict):
        batch.run(packages / "slow", source, target, size=1)
    process.send_signal(signal.SIGTERM)
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize(
    ("source", "target", "error"),
    [
        ("in.txt", "out.jsonl", UsageError),
        ("in.jsonl", "out.xls", UsageError),
        ("absent.jsonl", "out.jsonl", NotFound),
        ("broken.npy", "out.jsonl", InputRejected),
        ("broken.parquet", "out.jsonl", InputRejected),
        ("broken.arrow", "out.jsonl", InputRejected),
        ("broken.csv", "out.jsonl", InputRejected),
    ],
)
def test_what_cannot_be_done_is_said(
    packages: Path, tmp_path: Path, source: str, target: str, error: type[MlinfraError]
):
    for kind in ("npy", "parquet", "arrow"):
        (tmp_path / f"broken.{kind}").write_bytes(b"noise" * 50)
    lines(tmp_path / "in.jsonl", [])
    (tmp_path / "broken.csv").write_bytes(b'1,2,3,4\n"1"2,3\xff,4,5\n')
    with pytest.raises(error):
        batch.run(packages / "chances", tmp_path / source, tmp_path / target)
    assert not (tmp_path / target).exists()


def test_the_command_tells_what_it_did(packages: Path, tmp_path: Path):
    source = lines(tmp_path / "in.jsonl", MATRIX.tolist())
    process = begin(packages / "chances", source, tmp_path / "out.csv")
    out, _ = process.communicate(timeout=30)
    told = json.loads(out.splitlines()[-1])
    assert (process.returncode, told["event"], told["rows"], told["rejected"]) == (0, "done", 25, 0)
    process = begin(packages / "chances", tmp_path / "absent.jsonl", tmp_path / "out.csv")
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, json.loads(out)["event"]) == (4, "failed")
