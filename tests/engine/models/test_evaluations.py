"""Measures beside a version: attached, or computed by a model that runs in a process of its own."""

from __future__ import annotations

import csv
import math
import os
import random
import sys

import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.metrics import log_loss, roc_auc_score

from mlinfra import modelkit
from mlinfra.engine.audit import history as log
from mlinfra.engine.evaluations import attach, evaluate, evaluations
from mlinfra.engine.models import register, show
from mlinfra.engine.versions import resolve
from mlinfra.errors import Conflict, InputRejected, IntegrityError, InvocationFailed, UsageError

COLUMNS = ["age", "income"]
SCHEMA = {"inputs": {"age": {"type": "number", "min": 0, "max": 120}, "income": {"type": "number"}}}


@pytest.fixture
def rows():
    chance = random.Random(7)  # noqa: S311  no secret hangs on it
    return [[chance.randint(18, 90), round(chance.uniform(0, 5), 3)] for _ in range(200)]


def write_csv(path, rows, labels):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", *COLUMNS, "label"])
        writer.writerows([index, *row, label] for index, (row, label) in enumerate(zip(rows, labels, strict=True)))
    return path


def test_what_was_measured_elsewhere_is_kept_and_shown(world, package):
    session = world.session()
    version = register(session, "credit-risk", package())
    kept = attach(session, "credit-risk:1", {"metrics": {"auc": 0.83}, "slice": "age > 60"})
    assert evaluations(session, version) == [kept] == list(show(session, "credit-risk:1").evaluations)
    assert (kept.metrics, kept.details, kept.who, kept.digest) == (
        {"auc": 0.83},
        {"slice": "age > 60"},
        "ann",
        version.digest,
    )
    assert {entry.verb for entry in log(session, "model/credit-risk")} == {"register", "attach"}


def test_an_evaluation_belongs_to_the_bytes_whatever_their_name(world, package):
    session = world.session()
    folder = package()
    register(session, "credit-risk", folder)
    attach(session, "credit-risk:1", {"metrics": {"auc": 0.83}})
    assert len(evaluations(session, register(session, "other-name", folder))) == 1


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"metrics": {}},
        {"metrics": [0.8]},
        {"metrics": {"auc": "0.8"}},
        {"metrics": {"auc": True}},
        {"metrics": {"auc": 0.8}, "plot": {1, 2}},
        {"metrics": {"auc": 0.8}, "deep": math.nan},
        {"metrics": {"auc": 0.8}, "table": "x" * 1_100_000},
    ],
)
def test_what_are_no_measures_is_refused_and_nothing_is_kept(world, package, document):
    session = world.session()
    version = register(session, "credit-risk", package())
    with pytest.raises(UsageError):
        attach(session, "credit-risk:1", document)
    assert evaluations(session, version) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_is_refused_by_name(world, package, value):
    session = world.session()
    register(session, "credit-risk", package())
    with pytest.raises(UsageError, match="metric auc is no finite number"):
        attach(session, "credit-risk:1", {"metrics": {"auc": value}})


def test_measures_of_another_model_are_refused(world, package):
    session = world.session()
    register(session, "credit-risk", package())
    with pytest.raises(Conflict, match="another model"):
        attach(session, "credit-risk:1", {"metrics": {"auc": 0.8}, "digest": "sha256:00"})


def test_a_record_that_cannot_be_read_is_an_error(world, package):
    session = world.session()
    register(session, "credit-risk", package())
    kept = attach(session, "credit-risk:1", {"metrics": {"auc": 0.8}})
    world.place().objects[kept.key].content = b"{}"
    with pytest.raises(IntegrityError):
        evaluations(session, resolve(session, "credit-risk:1"))


@pytest.mark.thorough
def test_a_classifier_is_asked_for_every_row(world, tmp_path, rows):
    labels = ["bad" if age < 40 and income < 3 else "good" for age, income in rows]
    model = RandomForestClassifier(n_estimators=5, max_depth=2, random_state=0).fit(rows, labels)
    folder = tmp_path / "package"
    modelkit.save_model(model, folder, example=rows, schema=SCHEMA, method="predict_proba")
    session = world.session()
    version = register(session, "credit-risk", folder)
    flipped = [*labels[:10][::-1], *labels[10:]]
    found = evaluate(session, version.name, data=write_csv(tmp_path / "test.csv", rows, flipped), label="label")
    chances = model.predict_proba(rows)
    assert found.metrics["auc"] == pytest.approx(roc_auc_score(flipped, chances[:, 1]), rel=1e-12)
    assert found.metrics["log_loss"] == pytest.approx(log_loss(flipped, chances), rel=1e-9)
    assert (found.details["rows"], found.details["ignored"], found.details["classes"]) == (200, ["id"], ["bad", "good"])
    assert found.details["data"]["name"] == "test.csv"
    assert evaluations(session, version) == [found]


@pytest.mark.thorough
def test_a_regression_is_measured_by_its_errors(world, tmp_path, rows):
    goals = [2.0 * age + income + 0.5 for age, income in rows]
    model = LinearRegression().fit(rows, goals)
    modelkit.save_model(model, tmp_path / "package", example=rows, schema=SCHEMA)
    session = world.session()
    register(session, "demand", tmp_path / "package")
    off = [goal + 1.0 for goal in goals]
    found = evaluate(session, "demand", data=write_csv(tmp_path / "test.csv", rows, off), label="label")
    assert found.metrics == {"rmse": pytest.approx(1.0), "mae": pytest.approx(1.0)}


def python_model(tmp_path, body):
    path = tmp_path / "model.py"
    path.write_text(body)
    return path


def test_a_table_that_the_model_would_refuse_is_refused_before_it_is_asked(world, package, tmp_path):
    session = world.session()
    register(session, "credit-risk", package(schema=modelkit.Schema.from_document(SCHEMA)))
    with pytest.raises(InputRejected, match="refuses"):
        evaluate(session, "credit-risk", data=write_csv(tmp_path / "t.csv", [[770, 1.0]], ["good"]), label="label")


@pytest.fixture
def ask(world, tmp_path, monkeypatch):
    """A function that registers a model written in Python and evaluates it on two rows."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")

    def ask(body, **options):
        session = world.session()
        path = tmp_path / "model.py"
        path.write_text(body)
        version = register(session, "written", path)
        data = write_csv(tmp_path / "t.csv", [[30, 1.0], [40, 2.0]], ["1", "2"])
        options = {"task": "regression", **options}
        return evaluate(session, version.name, data=data, label="label", **options)

    return ask


@pytest.mark.thorough
def test_the_model_runs_in_another_process_without_the_users_environment(ask, tmp_path):
    note = tmp_path / "note"
    found = ask(
        f"import os, pathlib\n"
        f"pathlib.Path({str(note)!r}).write_text(repr((os.getppid(), dict(os.environ), os.path.expanduser('~'))))\n"
        f"def predict(rows):\n    return [1.0, 2.0]\n"
    )
    assert found.metrics["rmse"] == 0
    told = note.read_text()
    assert "s3cret" not in told
    assert os.path.expanduser("~") != eval(told)[2]  # noqa: PTH111, S307  our own repr
    assert "model" not in sys.modules


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def predict(rows):\n    raise RuntimeError('no mood')\n", "no mood"),
        ("import os\nos._exit(3)\n", "nothing was printed"),
        ("def predict(rows):\n    return [1.0]\n", "once per row"),
        ("def predict(rows):\n    import time\n    time.sleep(60)\n", "no answer in 2 s"),
    ],
)
def test_a_model_that_fails_is_one_clear_error_and_nothing_is_kept(ask, world, body, words):
    with pytest.raises(InvocationFailed, match=words):
        ask(body, timeout=2.0)
    assert not any(key.startswith("kit/evaluations/") for key in world.place().objects)
