"""`save_model`: from a trained estimator, or another tool's model file, to a package that can be proved and served."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.errors import Conflict, InputRejected, SpecError
from mlinfra.modelkit.description import describe
from mlinfra.modelkit.estimator import dump, head_of, input_form, method_of, pinned, requirements_of, with_missing
from mlinfra.modelkit.infer import Table, baseline, infer_schema, read_example
from mlinfra.modelkit.inputs import builder, candidates
from mlinfra.modelkit.load import plain
from mlinfra.modelkit.manifest import MANIFEST_NAME, METHODS, Manifest, digest_file, package_files
from mlinfra.modelkit.schema import Schema
from mlinfra.modelkit.sealed import seal
from mlinfra.modelkit.staging import copy_into, publish, staged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DECLARED_SCHEMAS = "MLINFRA_SCHEMAS"  # folder -> schema, as JSON; set by the runner
_KEPT = 5  # example rows that travel with the model, for readiness to ask again
_PROBED = 1000  # example rows on which sealing is proved


def save_model(
    model: Any,
    path: str | os.PathLike[str],
    *,
    example: Any,
    schema: Schema | Mapping[str, Any] | None = None,
    method: str | None = None,
    name: str | None = None,
    requirements: Sequence[str] | None = None,
) -> Manifest:
    """Write a model package: the model, its manifest with digests, and its sealed form where one is proved.

    `model` is an estimator, or the path of a file or folder that another tool saved, which is taken as it is
    and never unpickled. `example` is a data frame, an array or a list of rows like those to come, best the
    training rows: types and baseline are read from it, and its first rows stay in the package as the question
    that a server answers before it is ready. Without `schema` the one that
    the job's spec declares holds, else the types found are declared, ranges are not.
    `method` is predict or predict_proba. `requirements` replace the pinned versions found here.

    Safe to repeat: the same model at the same path changes nothing, another one is a Conflict. Whoever reads
    the path sees the whole package or none. Raises SpecError where example, schema and model do not agree.
    """
    if method is not None and method not in METHODS:
        raise SpecError("unknown method", given=method, allowed=", ".join(METHODS))
    target = Path(path)
    schema = _declared_for(target) if schema is None else schema
    declared = schema if isinstance(schema, Schema) or schema is None else Schema.from_document(schema)
    _refuse_foreign(target)
    with staged(target) as stage, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")  # the answers are compared
        write = _package_file if isinstance(model, (str, os.PathLike)) else _package_estimator
        manifest = write(model, stage, example, declared, method or "predict")
        manifest = dataclasses.replace(
            manifest,
            name=name,
            requirements=manifest.requirements if requirements is None else tuple(requirements),
            run=_run(),
        )
        _refuse_other(target, manifest)
        manifest.write(stage)
        publish(stage, target)
    return manifest


def _package_estimator(model: Any, stage: Path, example: Any, declared: Schema | None, method: str) -> Manifest:
    compute = method_of(model, method)
    table = read_example(example, getattr(model, "feature_names_in_", None))
    schema = _agreed(declared, table)
    form = with_missing(input_form(compute, example, table, schema), model, method, table, schema)
    build = builder(form, schema)
    kind, entry = dump(model, stage)
    probe = table.rows(_PROBED) if table.source == "objects" else head_of(example, table, _PROBED)
    sealed = seal(model, method, probe, stage, build)
    rows = table.rows(_KEPT)
    return Manifest(
        format=kind,
        entry=entry,
        method=method,
        schema=schema,
        input=form,
        requirements=requirements_of(model, form),
        python=f"{sys.version_info[0]}.{sys.version_info[1]}",
        files=_digests(stage),
        sealed=sealed,
        baseline=baseline(table, schema),
        example={"rows": rows, "predictions": _without_nan(plain(compute(build(rows))))},
    )


def _package_file(model: Any, stage: Path, example: Any, declared: Schema | None, method: str) -> Manifest:
    """A file of another tool: nothing of it is executed here, so the example has rows and no predictions."""
    found = describe(copy_into(Path(model), stage))
    table = read_example(example) if example is not None else None
    schema = declared or found.schema
    form = found.input
    if table is not None:
        schema = _agreed(schema, table)
        form = found.input or candidates(table, schema)[-1 if table.source == "frame" else 0]
    return dataclasses.replace(
        found,
        method=method,
        schema=schema,
        input=form,
        requirements=tuple(pinned(name) or name for name in found.requirements),
        baseline=baseline(table, schema) if table and schema else None,
        example={"rows": table.rows(_KEPT), "predictions": None} if table else None,
    )


def _agreed(declared: Schema | None, table: Table) -> Schema:
    """The declared schema, else the inferred one; the example must keep to it."""
    if declared is None:
        declared = infer_schema(table)
    if table.source in ("frame", "objects") and set(table.names) != set(declared.names):
        odd = sorted(set(table.names) ^ set(declared.names))
        raise SpecError(
            "the example and the schema have different columns", given=odd, allowed=", ".join(declared.names)
        )
    if table.source in ("frame", "objects") and table.names != declared.names:
        what = "the schema lists the columns in another order than the example"
        raise SpecError(what, given=", ".join(declared.names), allowed=", ".join(table.names))
    problems = declared.check(table.rows(len(table))).problems
    if problems:
        raise InputRejected("the example breaks the schema", rows=problems[:10])
    return declared


def _declared_for(target: Path) -> Mapping[str, Any] | None:
    """The schema that the job's spec declares for the model in this folder, as the runner tells it."""
    declared: Mapping[str, Any] = json.loads(os.environ.get(DECLARED_SCHEMAS, "{}"))
    found = [schema for folder, schema in declared.items() if Path(folder).resolve() == target.resolve()]
    return found[0] if found else None


def _without_nan(value: Any) -> Any:
    """NaN and infinities as null, as the server writes them too."""
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _digests(stage: Path) -> dict[str, Any]:
    return {name: digest_file(path) for name, path in package_files(stage).items()}


def _run() -> dict[str, Any] | None:
    """The training run, where the runner named one."""
    run_id = os.environ.get("MLINFRA_RUN_ID")
    return {"id": run_id} if run_id else None


def _refuse_foreign(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise Conflict("there is a file at the model's path", given=str(target), todo="choose another path")


def _refuse_other(target: Path, manifest: Manifest) -> None:
    if not (target / MANIFEST_NAME).exists():
        return
    present = Manifest.read(target)
    if present.digest != manifest.digest:
        what = f"another model lies at {target}"
        todo = "choose another path, or delete that model first"
        raise Conflict(what, given=manifest.digest, allowed=present.digest, todo=todo)
