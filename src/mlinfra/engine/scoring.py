"""How well predictions fit the truth: the usual measures, in plain Python. Pure.

The client must not need numpy or scikit-learn, so the few measures that everybody asks for are written out here; the
tests compare them with scikit-learn's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from mlinfra.errors import InvocationFailed, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TASKS = ("classification", "regression")
_MOST_CLASSES = 20  # whole numbers with more distinct values than this are quantities
_SMALLEST = 2.0**-52  # a probability of 0 for what happened would weigh infinitely


@dataclass(frozen=True)
class Scores:
    """What was measured. `classes` are in the order of the model's probabilities, empty for a regression."""

    task: str
    metrics: dict[str, float]
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def score(
    predictions: Sequence[Any],
    truth: Sequence[str],
    *,
    task: str | None = None,
    classes: Sequence[str] = (),
    positive: str | None = None,
) -> Scores:
    """Compare predictions with the truth, as written in a table.

    Predictions are probabilities by class, one probability, labels, or quantities. What they are is told from their
    form unless `task` says so. `classes` name the columns of probabilities where the labels met do not, sorted;
    `positive` is the class whose probability is ranked, by default the last.

    Raises:
        SpecError: labels and predictions do not fit together.
        InvocationFailed: a prediction is not a number.
    """
    if task not in (None, *TASKS):
        raise SpecError("no such task", given=task, allowed=", ".join(TASKS))
    known = tuple(classes) or _sorted(set(truth))
    if predictions and isinstance(predictions[0], list):
        return _by_probabilities([_numbers(row) for row in predictions], truth, known, positive)
    if task != "regression" and _are_probabilities(predictions, truth):
        rows = [[1.0 - float(value), float(value)] for value in _numbers(predictions)]
        return _by_probabilities(rows, truth, known, positive)
    if task == "regression" or (task is None and _are_quantities(predictions, truth)):
        return _regression(_numbers(predictions), truth)
    return _by_labels(predictions, truth, known)


def auc(scores: Sequence[float], is_positive: Sequence[bool]) -> float | None:
    """The chance that a positive ranks above a negative, ties counting half; None where one of them is missing."""
    positives = sum(is_positive)
    negatives = len(is_positive) - positives
    if not positives or not negatives:
        return None
    ranked = sorted(zip(scores, is_positive, strict=True), key=lambda pair: pair[0])
    won = 0.0
    below = 0
    for _, tied in groupby(ranked, key=lambda pair: pair[0]):
        flags = [flag for _, flag in tied]
        ups = sum(flags)
        downs = len(flags) - ups
        won += ups * (below + downs / 2)
        below += downs
    return won / (positives * negatives)


def log_loss(probabilities: Sequence[float]) -> float:
    """The mean surprise over the probabilities given to what happened, in nats."""
    return -math.fsum(math.log(min(1.0, max(_SMALLEST, value))) for value in probabilities) / len(probabilities)


def _by_probabilities(
    rows: Sequence[Sequence[float]], truth: Sequence[str], classes: tuple[str, ...], positive: str | None
) -> Scores:
    if any(len(row) != len(classes) for row in rows):
        raise SpecError(
            "the model's probabilities and the labels do not fit",
            given=f"{len(rows[0])} probabilities a row, labels {', '.join(classes)}",
            todo="name all classes in the order of the model's probabilities",
        )
    if positive is not None and positive not in classes:
        raise SpecError("no such class", given=positive, allowed=", ".join(classes))
    index = {name: number for number, name in enumerate(classes)}
    if strange := next((label for label in truth if label not in index), None):
        raise SpecError("a label that is no class", given=strange, allowed=", ".join(classes))
    guessed = [classes[max(range(len(row)), key=row.__getitem__)] for row in rows]
    metrics = {
        "accuracy": _share(guess == label for guess, label in zip(guessed, truth, strict=True)),
        "log_loss": log_loss([row[index[label]] for row, label in zip(rows, truth, strict=True)]),
    }
    notes = []
    if len(classes) == 2:  # noqa: PLR2004  two classes make one ranking
        chosen = positive or classes[-1]
        ranked = auc([row[index[chosen]] for row in rows], [label == chosen for label in truth])
        if ranked is None:
            notes.append("no AUC: every row has the same label")
        else:
            metrics["auc"] = ranked
    return Scores("classification", metrics, classes, tuple(notes))


def _by_labels(predictions: Sequence[Any], truth: Sequence[str], classes: tuple[str, ...]) -> Scores:
    said = {_plain(value) for value in predictions}
    if not said & {_plain(label) for label in classes}:
        raise SpecError(
            "the model answers in other words than the labels",
            given=f"answers such as {min(map(str, said))}",
            allowed=", ".join(classes),
            todo="write the labels as the model was trained on them",
        )
    hits = (_plain(value) == _plain(label) for value, label in zip(predictions, truth, strict=True))
    return Scores("classification", {"accuracy": _share(hits)}, classes, ("no AUC: the model answers with labels",))


def _regression(predictions: Sequence[float], truth: Sequence[str]) -> Scores:
    wanted = [_number(text) for text in truth]
    if any(value is None for value in wanted):
        given = next(text for text, value in zip(truth, wanted, strict=True) if value is None)
        raise SpecError("a label that is no number", given=given, allowed="finite numbers")
    errors = [value - goal for value, goal in zip(predictions, wanted, strict=True) if goal is not None]
    return Scores(
        "regression",
        {
            "rmse": math.sqrt(math.fsum(error * error for error in errors) / len(errors)),
            "mae": math.fsum(map(abs, errors)) / len(errors),
        },
    )


def _are_probabilities(predictions: Sequence[Any], truth: Sequence[str]) -> bool:
    """Fractions between 0 and 1, for labels 0 and 1."""
    if {_number(text) for text in truth} - {0.0, 1.0} or not all(_is_number(value) for value in predictions):
        return False
    return all(0 <= value <= 1 for value in predictions) and any(0 < value < 1 for value in predictions)


def _are_quantities(predictions: Sequence[Any], truth: Sequence[str]) -> bool:
    numbers = [_number(text) for text in truth]
    if not all(_is_number(value) for value in predictions) or any(value is None for value in numbers):
        return False
    whole = all(float(value).is_integer() for value in (*predictions, *numbers) if value is not None)
    return not whole or len(set(numbers)) > _MOST_CLASSES


def _numbers(values: Sequence[Any]) -> list[float]:
    for value in values:
        if not _is_number(value) or not math.isfinite(value):
            raise InvocationFailed("the model answered with something that is no number", given=value)
    return [float(value) for value in values]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _plain(value: Any) -> str | float:
    """A label in a form that compares: 1, 1.0 and "1" are one label, and so are True and "true"."""
    text = str(value)
    number = _number(text)
    return number if number is not None else text.lower() if text in ("True", "False") else text


def _sorted(labels: set[str]) -> tuple[str, ...]:
    """As the usual libraries order classes: numbers by size, texts by their letters."""
    numbers = {label: _number(label) for label in labels}
    if all(value is not None for value in numbers.values()):
        return tuple(sorted(labels, key=float))
    return tuple(sorted(labels))


def _share(hits: Iterable[bool]) -> float:
    counted = list(hits)
    return sum(counted) / len(counted)
