"""The whole way on the machine at hand: train, register, deploy, ask, take down."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING

import pytest

from mlinfra.cli import shapes
from mlinfra.cli.reference import commands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import click

pytestmark = pytest.mark.thorough

TRAIN = """
import argparse
from sklearn.linear_model import LogisticRegression
import mlinfra

parser = argparse.ArgumentParser()
parser.add_argument("--model")
parser.add_argument("--strength", type=float)
options = parser.parse_args()
rows = [[float(x), float(x % 3)] for x in range(40)]
labels = [int(x > 20) for x in range(40)]
model = LogisticRegression(C=options.strength).fit(rows, labels)
mlinfra.log_metric("accuracy", model.score(rows, labels), step=1)
print("trained with", options.strength)
mlinfra.save_model(model, options.model, example=rows)
"""
SPEC = """\
version: 1
kind: job
name: toy-train
command: [python, train.py, --model, "${{outputs.model}}", --strength, "${{params.strength}}"]
outputs: {model: {type: model}}
params: {strength: 1.0}
metrics: {accuracy: {goal: max}}
register: {output: model, name: toy, when: {accuracy: ">= 0.5"}}
tags: {team: tests}
"""
ENDPOINT = """\
version: 1
kind: endpoint
name: toy
model: toy@champion
capture: {sample: 100%}
"""
FAILING = "version: 1\nkind: job\nname: failing\ncommand: [python, -c, \"raise SystemExit('no luck')\"]\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that the tests of this file share, one going on where the other ended."""
    folder = tmp_path_factory.mktemp("flow")
    files = {
        "mlinfra.toml": "",
        "train.py": TRAIN,
        "job.yaml": SPEC,
        "endpoint.yaml": ENDPOINT,
        "failing.yaml": FAILING,
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def run(place: Path, mlinfra: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable:
    monkeypatch.chdir(place)
    return mlinfra


@pytest.fixture
def trained(run: Callable) -> str:
    """The handle of the job that was trained; trains where nobody did."""
    return run("job", "submit", "job.yaml", "--wait", "-o", "json").document["job"]["handle"]


@pytest.fixture
def deployed(run: Callable, trained: str) -> Iterator[str]:
    run("model", "alias", "toy:1", "champion")
    assert run("endpoint", "deploy", "endpoint.yaml").code == 0
    yield "toy"
    assert run("endpoint", "delete", "toy", "--yes").code == 0


def fields(prints: str) -> set[str]:
    """The outermost names of what a command says that it prints."""
    flat = prints
    while (shorter := re.sub(r"\{[^{}]*\}|\[[^\[\]]*\]", "", flat)) != flat:
        flat = shorter
    return {part.partition(":")[0].strip() for part in re.split(r"[,|]", flat) if ":" in part}


def keys(shape: type) -> set[str]:
    return set(shape.__annotations__)


def check_document(path: str, document: dict) -> None:
    """What a command prints is what its help says."""
    command: click.Command = dict(commands())[path]
    assert set(document) - {"schema", "environment", "emulated"} <= fields(command.prints)
    assert (document["schema"], document["environment"], document["emulated"]) == (1, "local", False)


def test_a_job_is_trained_once_and_registers_its_model(run):
    first = run("job", "submit", "job.yaml", "--wait", "-o", "json")
    assert first.code == 0
    check_document("mlinfra job submit", first.document)
    assert keys(shapes.SubmittedShape) == set(first.document["job"])
    assert first.document["job"]["state"] == "succeeded"
    assert first.document["job"]["reused"] is False
    assert first.document["followed"][0]["version"] == "toy:1"
    again = run("job", "submit", "job.yaml", "--wait", "-o", "json")
    assert again.document["job"]["reused"] is True
    assert again.document["job"]["handle"] == first.document["job"]["handle"]
    assert "reused toy-train-" in again.err


def test_a_changed_parameter_is_other_work(run, trained):
    other = run("job", "submit", "job.yaml", "--set", "params.strength=0.5", "--follow")
    assert other.code == 0
    assert other.out.startswith("trained with 0.5\n") or "\ntrained with 0.5\n" in other.out
    assert run("job", "submit", "job.yaml", "--set", "resources.cup=1").code == 2
    again = run("job", "submit", "job.yaml", "--new", "second", "--wait", "-o", "json").document["job"]
    assert again["reused"] is False
    assert again["handle"] != trained


def test_a_job_is_found_by_handle_name_and_digits(run, trained):
    by_handle = run("job", "show", trained, "-o", "json").document
    check_document("mlinfra job show", by_handle)
    assert keys(shapes.JobShape) == set(by_handle["job"])
    for name in (by_handle["job"]["name"], by_handle["job"]["id"], by_handle["job"]["id"][:8]):
        assert run("job", "show", name, "-o", "json").document["job"] == by_handle["job"]
    assert run("job", "show", "ffffffffffff").code == 4
    assert run("job", "show", "elsewhere/job/x").code in {2, 4}


def test_what_a_job_printed_logged_and_left_can_be_had(run, trained, place):
    logs = run("job", "logs", trained)
    assert "trained with 1.0\n" in logs.out
    lines = run("job", "logs", trained, "-o", "json").document
    check_document("mlinfra job logs", lines)
    assert keys(shapes.LineShape) == set(lines["lines"][0])
    points = run("job", "metrics", trained, "-o", "json").document
    check_document("mlinfra job metrics", points)
    assert [(each["name"], each["step"]) for each in points["metrics"]] == [("accuracy", 1)]
    fetched = run("job", "download", trained, "--to", "results", "-o", "json").document
    assert fetched["files"] == ["results/model"]
    assert (place / "results" / "model" / "mlinfra-model.json").is_file()
    assert run("job", "download", trained, "--to", "results").code == 5
    assert run("job", "download", trained, "--to", "other", "--output-name", "none").code == 4


def test_jobs_are_listed_newest_first_and_by_tag(run, trained):
    listed = run("job", "list", "-o", "json").document
    check_document("mlinfra job list", listed)
    created = [each["created"] for each in listed["jobs"]]
    assert created == sorted(created, reverse=True)
    assert run("job", "list", "--tag", "team=nobody", "-o", "json").document["jobs"] == []
    assert run("job", "list", "--limit", "1", "-o", "json").document["total"] == listed["total"]
    assert run("job", "list").out.splitlines()[0].split() == ["JOB", "STATE", "ATTEMPT", "CREATED", "METRICS"]


def test_a_failed_job_is_one_document_with_job_and_error(run):
    failed = run("job", "submit", "failing.yaml", "--wait", "-o", "json")
    assert failed.code == 1
    assert failed.document["job"]["state"] == "failed"
    assert failed.document["error"]["code"] == "JobFailed"
    handle = failed.document["job"]["handle"]
    assert run("job", "wait", handle).code == 1
    again = run("job", "submit", "failing.yaml", "--wait", "-o", "json")
    assert again.document["job"]["attempt"] == 2
    assert run("job", "delete", handle).code == 2
    assert run("job", "delete", handle, "--yes").code == 0
    assert run("job", "show", handle).code == 4


def test_a_version_is_shown_marked_and_told_about(run, trained):
    shown = run("model", "show", "toy:1", "--verify", "-o", "json").document
    check_document("mlinfra model show", shown)
    assert keys(shapes.KnownVersionShape) == set(shown["version"])
    assert "METRICS" in run("model", "list", "toy").out
    aliased = run("model", "alias", "toy:1", "champion", "-o", "json").document
    check_document("mlinfra model alias", aliased)
    assert keys(shapes.VersionShape) == set(aliased["version"])
    assert run("model", "stage", "toy:1", "staging", "-o", "json").document["version"]["stage"] == "staging"
    decided = run("model", "approve", "toy:1", "--note", "looks well", "-o", "json").document
    assert keys(shapes.DecisionShape) == set(decided["decision"])
    history = run("model", "history", "toy", "-o", "json").document
    check_document("mlinfra model history", history)
    assert {"register", "alias", "stage", "approve"} <= {each["verb"] for each in history["history"]}
    assert run("model", "delete", "toy:1", "--yes").code == 5
    assert run("model", "show", "toy:99").code == 4
    assert run("model", "show", "Not a name").code == 2


def test_measures_are_taken_or_attached(run, trained, place):
    with (place / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        schema = run("model", "show", "toy:1", "-o", "json").document["version"]["manifest"]["schema"]["inputs"]
        writer.writerow([*schema, "label"])
        writer.writerows([[x, x % 3, int(x > 20)] for x in range(40)])
    measured = run("model", "evaluate", "toy:1", "--data", "rows.csv", "--label", "label", "-o", "json").document
    assert measured["evaluation"]["metrics"]["accuracy"] > 0.9
    (place / "measures.json").write_text('{"metrics": {"fairness": 0.99}}')
    attached = run("model", "evaluate", "toy:1", "--attach", "measures.json", "-o", "json").document
    assert keys(shapes.EvaluationShape) == set(attached["evaluation"])
    assert run("model", "evaluate", "toy:1").code == 2


def test_what_a_job_left_can_be_registered_by_hand(run, trained, place):
    by_job = run("model", "register", "by-job", "--job", trained, "-o", "json").document["version"]
    assert by_job["lineage"]["job"]
    run("job", "download", trained, "--to", "by-hand")
    by_hand = run("model", "register", "by-hand", "by-hand/model", "--tag", "team=tests", "-o", "json").document[
        "version"
    ]
    assert by_hand["digest"] == by_job["digest"]
    assert run("model", "register", "both", "by-hand/model", "--job", trained).code == 2
    copied = run("model", "copy", "by-job:1", "--to", "local", "--name", "copied", "-o", "json").document["version"]
    assert copied["digest"] == by_job["digest"]
    for name in ("by-job", "by-hand", "copied"):
        assert run("model", "delete", name, "--all", "--yes").code == 0
    assert run("model", "list", "-o", "json").document["models"] == ["toy"]


def test_an_endpoint_answers_and_refuses(run, deployed):
    shown = run("endpoint", "show", "toy", "-o", "json").document
    check_document("mlinfra endpoint show", shown)
    assert keys(shapes.KnownEndpointShape) == set(shown["endpoint"])
    assert keys(shapes.DeploymentShape) == set(shown["endpoint"]["deployments"][0])
    asked = run("endpoint", "invoke", "toy", "--row", "[3, 0]", "--row", "[39, 0]", "-o", "json")
    check_document("mlinfra endpoint invoke", asked.document)
    assert asked.document["answer"] == {"predictions": [0, 1]}
    refused = run("endpoint", "invoke", "toy", "--row", '["old", 0]', "-o", "json")
    assert refused.code == 2
    assert refused.document["error"]["rows"][0]["row"] == 0
    assert run("endpoint", "invoke", "toy").code == 2
    assert run("endpoint", "invoke", "toy", "--row", "{").code == 2
    assert run("endpoint", "invoke", "nothing", "--row", "[1, 2]").code == 4


def test_questions_come_from_files_and_stdin(run, deployed, place, monkeypatch):
    (place / "rows.json").write_text("[[3, 0], [39, 0]]")
    (place / "rows.jsonl").write_text("[3, 0]\n[39, 0]\n")
    schema = run("model", "show", "toy:1", "-o", "json").document["version"]["manifest"]["schema"]["inputs"]
    (place / "question.csv").write_text(f"{','.join(schema)}\n3,0\n39,0\n")
    for name in ("rows.json", "rows.jsonl", "question.csv"):
        shown = run("endpoint", "invoke", "toy", "--data", name)
        assert json.loads(shown.out)["predictions"] == [0, 1], shown.err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"instances": [[3, 0]]}')))
    assert json.loads(run("endpoint", "invoke", "toy", "--data", "-").out)["predictions"] == [0]


def test_an_endpoint_is_watched_and_replayed(run, deployed):
    run("endpoint", "invoke", "toy", "--row", "[3, 0]")
    listed = run("endpoint", "list", "-o", "json").document
    check_document("mlinfra endpoint list", listed)
    assert keys(shapes.EndpointShape) == set(listed["endpoints"][0])
    metrics = run("endpoint", "metrics", "toy", "--since", "5m", "-o", "json").document
    check_document("mlinfra endpoint metrics", metrics)
    assert run("endpoint", "logs", "toy", "-o", "json").document["lines"]
    assert run("endpoint", "logs", "toy", "--follow", "-o", "json").code == 2
    rollout = run("endpoint", "rollout", "show", "toy", "-o", "json").document
    assert rollout["rollout"]["phase"] == "completed"
    replayed = run("endpoint", "replay", "toy", "-o", "json")
    check_document("mlinfra endpoint replay", replayed.document)
    assert keys(shapes.ReplayShape) == set(replayed.document["replay"])
    assert replayed.document["replay"]["different"] == 0


def test_an_endpoint_is_left_alone_moved_and_not_taken_down_by_mistake(run, deployed):
    again = run("endpoint", "deploy", "endpoint.yaml", "-o", "json").document
    check_document("mlinfra endpoint deploy", again)
    assert keys(shapes.OutcomeShape) == set(again["outcome"])
    assert again["outcome"]["change"] == "unchanged"
    assert run("endpoint", "traffic", "toy", "main=100").code == 0
    assert run("endpoint", "traffic", "toy", "main=90").code == 2
    assert run("endpoint", "traffic", "toy", "main=half").code == 2
    assert run("endpoint", "rollback", "toy", "--yes").code == 4
    assert run("endpoint", "rollout", "abort", "toy", "--yes").code == 4
    assert run("endpoint", "delete", "toy").code == 2
    assert run("endpoint", "show", "toy").code == 0


def test_deleting_what_is_not_there_is_no_error(run):
    shown = run("endpoint", "delete", "nothing-here", "--yes", "-o", "json")
    assert (shown.code, shown.document["deleted"]) == (0, [])


def test_the_store_takes_lists_and_gives(run, place):
    (place / "data").mkdir(exist_ok=True)
    (place / "data" / "a.txt").write_text("a")
    put = run("store", "put", "data", "mine/data", "-o", "json").document
    check_document("mlinfra store put", put)
    assert keys(shapes.ObjectShape) == set(put["objects"][0])
    assert run("store", "put", "data/a.txt", "mine/").code == 0
    listed = run("store", "ls", "mine/", "-o", "json").document
    assert [each["key"] for each in listed["objects"]] == ["mine/a.txt", "mine/data/a.txt"]
    assert run("store", "get", "store://mine/data", "back").code == 0
    assert (place / "back" / "a.txt").read_text() == "a"
    assert run("store", "get", listed["objects"][0]["uri"], "single.txt").code == 0
    assert (place / "single.txt").read_text() == "a"
    assert run("store", "get", "mine/none", "x").code == 4
    assert run("store", "ls", "--store", "none").code == 4


def test_files_are_applied_in_order_and_again(run, place):
    endpoint = ENDPOINT.replace("toy@champion", "fresh@first").replace("name: toy", "name: fresh")
    job = SPEC.replace("name: toy,", "name: fresh,").replace("toy-train", "fresh-train")
    (place / "all.yaml").write_text(f"{endpoint}---\n{job}")
    applied = run("apply", "all.yaml", "-o", "json")
    try:
        assert applied.code == 0, applied.err
        check_document("mlinfra apply", applied.document)
        assert [each["kind"] for each in applied.document["applied"]] == ["job", "endpoint"]
        assert run("model", "show", "fresh@first", "-o", "json").document["version"]["name"] == "fresh:1"
        again = run("apply", "all.yaml", "-o", "json").document["applied"]
        assert again[-1]["outcome"] == "unchanged"
    finally:
        assert run("endpoint", "delete", "fresh", "--yes").code == 0


def test_a_crash_leaves_nothing_to_recover_here(run, trained):
    recovered = run("recover", "-o", "json").document
    check_document("mlinfra recover", recovered)
    assert recovered["open"] == 0


def test_the_doctor_finds_this_machine_well(run):
    shown = run("env", "doctor", "-o", "json")
    check_document("mlinfra env doctor", shown.document)
    assert [each for each in shown.document["checks"] if each["verdict"] == "failed"] == []
    assert shown.code == 0


def test_what_the_kit_made_is_swept_when_asked(run, trained):
    """The last one of this file, since the others need what it takes away."""
    looked = run("env", "sweep", "--older-than", "0s", "-o", "json")
    check_document("mlinfra env sweep", looked.document)
    assert looked.code == 0
    assert {each["kind"] for each in looked.document["due"]} == {"job"}
    assert (looked.document["deleted"], "add --yes" in looked.err) == ([], True)
    assert run("env", "sweep", "--yes", "-o", "json").document["due"] == []
    swept = run("env", "sweep", "--all", "--yes", "-o", "json")
    assert (swept.code, swept.document["failed"]) == (0, []), swept.err
    assert "toy:1" in swept.document["deleted"]
    assert run("job", "list", "-o", "json").document["jobs"] == []
    assert run("model", "list", "-o", "json").document["models"] == []
    assert run("env", "sweep", "other", "-e", "local").code == 2
