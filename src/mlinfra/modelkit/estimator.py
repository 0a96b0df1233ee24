"""What there is to know of a trained estimator: how it is written, in which form it takes rows, what it needs."""

from __future__ import annotations

import importlib.metadata
import math
import mmap
import re
import warnings
from typing import TYPE_CHECKING, Any

from mlinfra.errors import SpecError
from mlinfra.modelkit.inputs import builder, candidates, libraries, nan_columns
from mlinfra.modelkit.load import plain
from mlinfra.modelkit.sealed import missing_markers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlinfra.modelkit.infer import Table
    from mlinfra.modelkit.schema import Schema

_COMPARED = 100  # example rows on which the forms are compared
_FROM_MAIN = re.compile(rb"\x8c\x08__main__|c__main__\n")
_DISTRIBUTIONS = {"sklearn": ("scikit-learn", "scipy")}
_BOOSTERS = {("xgboost", "Booster"): ("xgboost", "model.ubj"), ("lightgbm", "Booster"): ("lightgbm", "model.txt")}
_ALWAYS = ("joblib", "numpy")


def method_of(model: Any, method: str) -> Callable[[Any], Any]:
    """The function that predicts from rows; raises SpecError for an object without one."""
    name = "inplace_predict" if _kind(model) == ("xgboost", "Booster") else method
    found: Callable[[Any], Any] | None = getattr(model, name, None)
    if found is None:
        raise SpecError(f"the model has no {method}", given=type(model).__name__, allowed=f"an object with {method}")
    return found


def dump(model: Any, folder: Path) -> tuple[str, str]:
    """Write the estimator into the folder in its library's safest format; (format, file name)."""
    if _kind(model) in _BOOSTERS:
        library, name = _BOOSTERS[_kind(model)]
        model.save_model(str(folder / name))
        return library, name
    import joblib  # noqa: PLC0415  modelkit imports without it

    path = folder / "model.joblib"
    joblib.dump(model, path)
    _refuse_main(path)
    return "sklearn", path.name


def input_form(compute: Callable[[Any], Any], example: Any, table: Table, schema: Schema) -> dict[str, Any]:
    """The cheapest form in which the model answers rows bit for bit as it answers the example as given.

    A list of rows is no form that a model is trained on, so there the first form that works is taken.
    """
    rows = table.rows(_COMPARED)
    expected: str | None = None
    failures: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if table.source in ("frame", "array"):
            expected = _answers(compute, head_of(example, table, _COMPARED))
        for form in candidates(table, schema):
            try:
                answer = repr(plain(compute(builder(form, schema)(rows))))
            except Exception as exc:  # noqa: BLE001  a form that the model does not take, whatever it raises
                failures.append(f"{form['form']}: {type(exc).__name__}: {exc}")
                continue
            if expected is None or answer == expected:
                return form
            failures.append(f"{form['form']}: other answers")
    what = "the model does not answer rows sent to a server as it answers the example"
    todo = "give the example as the model was trained: the same data frame or array"
    raise SpecError(what, given="; ".join(failures), todo=todo)


def with_missing(form: dict[str, Any], model: Any, method: str, table: Table, schema: Schema) -> dict[str, Any]:
    """The form with what a missing cell is for each column of text whose example has none missing.

    The estimator itself is asked where it can be taken apart. Else NaN, which most libraries mean by missing, unless
    the example says None elsewhere.
    """
    if "missing" not in form:
        return form
    text = {column.name: index for index, column in enumerate(schema.columns) if column.type in ("string", "category")}
    missing = {name: any(cell is None for cell in table.cells[index]) for name, index in text.items()}
    unknown = [name for name in text if not missing[name]]
    markers = missing_markers(model, method) if unknown else None
    seen = nan_columns(table, schema)
    usual = None if any(missing[name] and name not in seen for name in text) else math.nan
    for name in unknown:
        marker = usual if markers is None else markers.get(name, markers.get(text[name], usual))
        if marker is not None:
            form = {**form, "missing": {**form["missing"], name: "nan"}}
    return form


def head_of(example: Any, table: Table, count: int) -> Any:
    """The first rows of an example, in its own form."""
    return example.iloc[:count] if table.source == "frame" else example[:count]


def _answers(compute: Callable[[Any], Any], example: Any) -> str:
    try:
        return repr(plain(compute(example)))
    except Exception as exc:
        given = f"{type(exc).__name__}: {exc}"
        raise SpecError(
            "the model does not take the example", given=given, allowed="rows as it was trained on"
        ) from exc


def requirements_of(model: Any, form: Mapping[str, Any]) -> tuple[str, ...]:
    """The packages whose code answers, pinned to the versions at hand."""
    parts = [model, *(model.get_params(deep=True).values() if hasattr(model, "get_params") else ())]
    roots = {type(part).__module__.split(".")[0] for part in parts}
    names = {name for root in roots for name in _DISTRIBUTIONS.get(root, (root,))} | {*_ALWAYS, *libraries(form)}
    found = (pinned(name) for name in sorted(names))
    return tuple(requirement for requirement in found if requirement)


def _kind(model: Any) -> tuple[str, str]:
    return type(model).__module__.partition(".")[0], type(model).__name__


def pinned(name: str) -> str | None:
    """`name==version` as installed here; None for a name that no installed distribution has, such as builtins."""
    try:
        return f"{name}=={importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return None


def _refuse_main(path: Path) -> None:
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if not _FROM_MAIN.search(content):
            return
    what = "the model holds a class or function that is defined in the training script itself"
    todo = "move it into a module of a package that the server can install"
    raise SpecError(what, todo=todo)
