"""The whole life of a credit-decision model on this machine: `make demo`.

Trains, registers, deploys, asks, replaces step by step, lets a bad version roll itself back, and cleans up. Every step
is a command that you could type; what it prints is checked, and the first surprise ends the demo with exit code 1.
"""

from __future__ import annotations

import csv
import http.client
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import mlinfra

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).parent
FILES = ("credit.csv", "holdout.csv", "mlinfra.yaml", "requirements.txt", "rule.py", "train.py")
CATEGORIES = {"Home", "Marital", "Records", "Job"}
NOT_INPUTS = {"rownames", "Status"}
OK, INPUT, ROLLED_BACK = 0, 2, 6
PAUSE = 0.002  # seconds between two requests of the people who use the endpoint meanwhile


def main() -> None:
    """Run every step in a folder of its own, which is removed at the end."""
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="mlinfra-demo-"))
    try:
        project = folder / "credit"
        project.mkdir()
        for name in FILES:
            shutil.copy(HERE / name, project / name)
        (project / "mlinfra.toml").write_text("")
        kit = Kit(project, folder / "state")
        try:
            walk(kit, held_out(project))
        finally:
            say("Clean up")
            kit("endpoint", "delete", "credit-risk", "--yes")
        check("processes that are left", processes_below(folder), [])
    finally:
        shutil.rmtree(folder)
    print(f"\nDone in {time.monotonic() - started:.0f} s; nothing is left running or on disk.")


def walk(kit: Kit, applicants: dict[str, dict[str, Any]]) -> None:
    """The steps, in order."""
    say("Train on 3,563 applicants, test on 891 that were kept apart, register what passes")
    job = kit("job", "submit", "mlinfra.yaml", "--wait")["job"]
    print(f"  AUC {job['metrics']['auc']:.4f}, registered as credit-risk:1")
    check("the AUC passes", job["metrics"]["auc"] >= 0.80, True)  # noqa: PLR2004  the bar of mlinfra.yaml
    again = kit("job", "submit", "mlinfra.yaml", "--wait")
    check("the same work is not done twice", again["job"]["reused"], True)

    say("Make it the champion and deploy it")
    kit("model", "alias", "credit-risk:1", "champion")
    kit("endpoint", "deploy", "mlinfra.yaml")

    say("Ask for all 891, and compare with what was computed in the training job")
    offline = predictions(kit, job["id"])
    online = kit.ask([applicants[row] for row in offline])
    differing = sum(one != other for one, other in zip(online, offline.values(), strict=True))
    check("answers that differ from the offline ones", differing, 0)

    say("Ask with rows that no model should see")
    applicant = applicants[next(iter(applicants))]
    for column, value in (("Age", 770), ("Income", "plenty")):
        error = kit.refused({**applicant, column: value})
        print(
            f"  refused: row {error['row']}, column {error['column']}: {error['value']!r}; allowed: {error['allowed']}"
        )
        check("the column that is refused", error["column"], column)

    say("Version 2 takes over step by step, while people use the endpoint")
    kit("job", "submit", "mlinfra.yaml", "--set", "params.trees=300", "--wait")
    kit("model", "alias", "credit-risk:2", "champion")
    with users(kit, list(applicants.values())) as answers:
        kit("endpoint", "deploy", "mlinfra.yaml")
    check("requests that failed", answers.failed(), {})
    print(f"  {sum(answers.counts.values())} requests, {answers.shares()}")

    say("A version that answers errors takes its share of requests, and is rolled back by itself")
    register_rule(kit, list(applicants.values()))
    kit("model", "alias", "credit-risk:3", "champion")
    with users(kit, list(applicants.values())) as answers:
        kit("endpoint", "deploy", "mlinfra.yaml", expected=ROLLED_BACK)
    serving = kit("endpoint", "show", "credit-risk")["endpoint"]["deployments"]
    check("versions that serve", [each["version"] for each in serving], ["2"])
    outside = {name: count for name, count in answers.failed().items() if name == serving[0]["name"]}
    print(f"  {sum(answers.counts.values())} requests, {sum(answers.failed().values())} failed, all in its share")
    check("requests that failed outside its share", outside, {})

    say("Answer again what was captured, bit for bit")
    replay = kit("endpoint", "replay", "credit-risk", "--limit", "500")["replay"]
    check("answers that differ from the captured ones", replay["different"], 0)


class Kit:
    """The command line in the project's folder and one environment, with state of its own."""

    def __init__(self, project: Path, state: Path, environment: str = "local") -> None:
        self.project = project
        self.environment = {**os.environ, "MLINFRA_HOME": str(state), "MLINFRA_ENV": environment}

    def __call__(self, *arguments: str, expected: int = OK) -> dict[str, Any]:
        """Run a command, show it with what it says on the way, and return the document that it prints."""
        print(f"  $ mlinfra {' '.join(arguments)}", flush=True)
        finished = subprocess.run(
            [sys.executable, "-m", "mlinfra.cli.main", *arguments, "-o", "json"],
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        for line in finished.stderr.splitlines():
            print(f"    {line}", flush=True)
        check(f"exit code of mlinfra {arguments[0]} {arguments[1]}", finished.returncode, expected)
        document: dict[str, Any] = json.loads(finished.stdout)
        return document

    def ask(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        """Ask the endpoint for predictions of rows."""
        path = self.project / "question.json"
        path.write_text(json.dumps({"instances": list(rows)}))
        answer = self("endpoint", "invoke", "credit-risk", "--data", path.name)["answer"]
        predictions: list[Any] = answer["predictions"]
        return predictions

    def refused(self, row: dict[str, Any]) -> dict[str, Any]:
        """Ask with a bad row; what the endpoint says is wrong with it."""
        document = self("endpoint", "invoke", "credit-risk", "--row", json.dumps(row), expected=INPUT)
        cells: list[dict[str, Any]] = document["error"]["rows"]
        return cells[0]


class Answers:
    """How requests went, by deployment and status."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, int]] = Counter()

    def failed(self) -> dict[str, int]:
        """Deployment -> requests that it did not answer with 200."""
        failed: Counter[str] = Counter()
        for (deployment, status), count in self.counts.items():
            if status != http.client.OK:
                failed[deployment] += count
        return dict(failed)

    def shares(self) -> str:
        """How many requests each deployment had."""
        totals: Counter[str] = Counter()
        for (deployment, _), count in self.counts.items():
            totals[deployment] += count
        return ", ".join(f"{name}: {count}" for name, count in sorted(totals.items()))


@contextmanager
def users(kit: Kit, rows: list[dict[str, Any]]) -> Iterator[Answers]:
    """People who ask for one row after the other until the block ends."""
    url = urlsplit(kit("endpoint", "show", "credit-risk")["endpoint"]["url"])
    answers, ended = Answers(), threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection(str(url.hostname), url.port or 80, timeout=30)
        for row in itertools.cycle(rows):
            if ended.wait(PAUSE):
                break
            connection.request(
                "POST", url.path or "/", json.dumps({"instances": [row]}), {"Content-Type": "application/json"}
            )
            response = connection.getresponse()
            response.read()
            answers.counts[response.headers.get("mlinfra-deployment", "none"), response.status] += 1
        connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        ended.set()
        thread.join()


def register_rule(kit: Kit, rows: list[dict[str, Any]]) -> None:
    """Package the rule of thumb with an example that it can answer, and register it."""
    schema = kit("model", "show", "credit-risk:1")["version"]["manifest"]["schema"]
    complete = [{name: row[name] for name in schema["inputs"]} for row in rows if row["Income"] is not None]
    mlinfra.save_model(kit.project / "rule.py", kit.project / "rule", example=complete[:5], schema=schema)
    kit("model", "register", "credit-risk", "rule")


def held_out(project: Path) -> dict[str, dict[str, Any]]:
    """The applicants kept for the test, as a client would send them: name of the row -> columns."""
    names = set((project / "holdout.csv").read_text().split()[1:])
    with (project / "credit.csv").open(newline="") as file:
        return {row["rownames"]: question(row) for row in csv.DictReader(file) if row["rownames"] in names}


def question(row: dict[str, str]) -> dict[str, Any]:
    """A row as JSON: numbers as numbers, what is missing as null."""
    return {
        name: (value or None) if name in CATEGORIES else (float(value) if value else None)
        for name, value in row.items()
        if name not in NOT_INPUTS
    }


def predictions(kit: Kit, job: str) -> dict[str, list[float]]:
    """What the training job computed for the held-out rows."""
    kit("job", "download", job, "--output-name", "report", "--to", "outputs")
    report = json.loads((kit.project / "outputs" / "report" / "held-out.json").read_text())
    return {each["row"]: each["prediction"] for each in report}


def processes_below(folder: Path) -> list[str]:
    """The command lines of processes that have to do with a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found


def say(text: str) -> None:
    """Begin a step."""
    print(f"\n{text}", flush=True)


def check(what: str, found: Any, expected: Any) -> None:
    """End the demo where something is not as it should be."""
    if found != expected:
        sys.exit(f"  {what}: {found!r}, expected: {expected!r}")


if __name__ == "__main__":
    main()
