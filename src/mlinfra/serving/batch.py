"""The server without a port: predictions for a file of rows, as `python -m mlinfra.serving batch`.

Each chunk of rows is checked and predicted as a request is. Its answers are kept in a folder beside the output, so
that a run that was killed goes on where it stood; the output appears whole, when all of it is there.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from mlinfra.errors import Conflict, InputRejected, MlinfraError
from mlinfra.serving.batchfiles import Chunk, reader_for, whole, writer_for
from mlinfra.serving.locate import package_in
from mlinfra.serving.log import log
from mlinfra.serving.messages import Refusal
from mlinfra.serving.models import Model
from mlinfra.serving.rows import check_plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FORMAT = 1  # raise when what is kept between runs changes
_CHUNK = 10_000  # rows


@dataclass(frozen=True)
class Summary:
    """What came of a run."""

    rows: int
    rejected: int
    resumed: int  # rows whose answers an earlier run had left


def main(arguments: Sequence[str]) -> int:
    """Predict for a file; the exit code."""
    parser = argparse.ArgumentParser("python -m mlinfra.serving batch", description="Predict for a file of rows.")
    parser.add_argument("--model", required=True, type=Path, help="folder of the model package")
    parser.add_argument("--input", required=True, type=Path, help="rows: .jsonl, .csv, .npy, .arrow, .parquet")
    parser.add_argument("--output", required=True, type=Path, help="predictions, in the order of the rows; as above")
    parser.add_argument("--digest", default="", help="the package's digest; any other package is refused")
    parser.add_argument("--chunk", type=int, default=_CHUNK, help=f"rows predicted together (default: {_CHUNK})")
    parser.add_argument("--strict", action="store_true", help="a row that the schema refuses ends the run")
    given = parser.parse_args(list(arguments))
    try:
        summary = run(
            given.model, given.input, given.output, digest=given.digest, size=given.chunk, strict=given.strict
        )
    except MlinfraError as error:
        log("failed", level="error", message=str(error), **error.as_document())
        return error.exit_code
    log("done", rows=summary.rows, rejected=summary.rejected, resumed=summary.resumed, output=str(given.output))
    return 0


def run(
    package: Path, source: Path, target: Path, *, digest: str = "", size: int = _CHUNK, strict: bool = False
) -> Summary:
    """Predict for every row of `source` into `target`, one prediction a row, in order.

    A rejected row has no prediction (null, an empty cell, NaN); `<target>.rejected.jsonl` names its number from 0,
    its column and what is allowed there, a line for each wrong cell. The same call again resumes or repeats.

    Raises:
        InputRejected: the file is not what its suffix says, or with `strict` a row is refused; nothing is written.
        Conflict: another run writes to the same target.
        UsageError, NotFound, CapabilityError, IntegrityError: nothing can be read, written or predicted.
    """
    read, write = reader_for(source), writer_for(target)
    model = Model(package.name, "1", package_in(package), digest or None)
    model.load()
    model.prove()
    parts = target.with_name(f"{target.name}.parts")
    with _alone(parts):
        _begin(parts, _identity(model, source, size))
        summary = _predict_all(model, read(source, model.manifest.schema, size), parts, strict=strict)
        _finish(parts, target, write)
    shutil.rmtree(parts)
    return summary


def _predict_all(model: Model, chunks: Iterator[Chunk], parts: Path, *, strict: bool) -> Summary:
    rows = rejected = resumed = 0
    for number, chunk in enumerate(chunks):
        answers, problems = _part(parts, number)
        if answers.exists():
            resumed += len(chunk.rows)
        else:
            predictions, found = predict_chunk(model, chunk)
            if found and strict:
                raise InputRejected("the model's schema refuses rows", rows=_numbered(found, rows)[:10])
            _write_lines(problems, _numbered(found, rows))
            _write_lines(answers, predictions)  # the last: with it, the chunk is done
        rows += len(chunk.rows)
        rejected += len({problem["row"] for problem in _read_lines(problems)})
        log("progress", rows=rows, rejected=rejected)
    return Summary(rows, rejected, resumed)


def predict_chunk(model: Model, chunk: Chunk) -> tuple[list[Any], list[dict[str, Any]]]:
    """A prediction or None for each row, and every problem with its place in the chunk."""
    schema = model.manifest.schema
    check = schema.check if schema else check_plain
    readable = [place for place in range(len(chunk.rows)) if place not in chunk.bad]
    rows = chunk.rows
    checked = check([rows[place] for place in readable])
    if checked.unsure and chunk.strict:
        rows = chunk.strict()
        checked = check([rows[place] for place in readable])
    problems = [{"row": place, **problem} for place, problem in chunk.bad.items()]
    problems += [{**problem, "row": readable[problem["row"]]} for problem in checked.problems]
    bad = {problem["row"] for problem in problems}
    good = [place for place in readable if place not in bad]
    ordered = check([rows[place] for place in good]).rows if checked.problems else checked.rows
    refused = _refused_by_model(model, ordered)
    problems += [{"row": good[place], "column": None, "value": None, "allowed": why} for place, why in refused.items()]
    kept = [place for place in range(len(good)) if place not in refused]
    predictions: list[Any] = [None] * len(chunk.rows)
    found = model.predict([ordered[place] for place in kept]) if kept else []
    for place, prediction in zip(kept, found, strict=True):
        predictions[good[place]] = prediction
    return predictions, sorted(problems, key=lambda problem: int(problem["row"]))


def _refused_by_model(model: Model, rows: list[Any]) -> dict[int, str]:
    """Rows that the model itself refuses, as one without a schema may: found by asking for each, if need be."""
    if model.manifest.schema is not None or not rows:
        return {}
    try:
        model.predict(rows)
    except Refusal:
        return {place: why for place, row in enumerate(rows) if (why := _why_refused(model, row))}
    return {}


def _why_refused(model: Model, row: Any) -> str:
    try:
        model.predict([row])
    except Refusal as refusal:
        return refusal.message
    return ""


def _identity(model: Model, source: Path, size: int) -> str:
    """What must be the same for kept answers to count."""
    about = source.stat()
    asked = [_FORMAT, model.manifest.digest, str(source.resolve()), about.st_size, about.st_mtime_ns, size]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


@contextmanager
def _alone(parts: Path) -> Iterator[None]:
    parts.mkdir(parents=True, exist_ok=True)
    with (parts / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise Conflict(
                "another run writes the same predictions", given=str(parts), todo="wait for its end"
            ) from exc
        yield


def _begin(parts: Path, identity: str) -> None:
    """Keep an earlier run's answers to the same question; drop those to any other."""
    noted = parts / "identity"
    if noted.exists() and noted.read_text() == identity:
        return
    for path in parts.iterdir():
        if path.name != "lock":
            path.unlink()
    with whole(noted) as stream:
        stream.write(identity.encode())


def _finish(parts: Path, target: Path, write: Any) -> None:
    def predictions() -> Iterator[list[Any]]:
        number = 0
        while (answers := _part(parts, number)[0]).exists():
            yield _read_lines(answers)
            number += 1

    report = target.with_name(f"{target.name}.rejected.jsonl")
    problems = [path for path in sorted(parts.glob("*.rejected")) if path.stat().st_size]
    if problems:
        with whole(report) as stream:
            for path in problems:
                stream.write(path.read_bytes())
    else:
        report.unlink(missing_ok=True)
    write(target, predictions)


def _part(parts: Path, number: int) -> tuple[Path, Path]:
    """The files of a chunk: its answers, its problems."""
    return parts / f"{number:08}.answers", parts / f"{number:08}.rejected"


def _numbered(problems: list[dict[str, Any]], start: int) -> list[dict[str, Any]]:
    """Problems with the number of the row in the whole file."""
    return [{**problem, "row": problem["row"] + start} for problem in problems]


def _write_lines(path: Path, items: Sequence[Any]) -> None:
    with whole(path) as stream:
        stream.write(b"".join(orjson.dumps(item, default=str) + b"\n" for item in items))


def _read_lines(path: Path) -> list[Any]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]
