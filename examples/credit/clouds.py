"""The same life on every cloud that has an emulator here, one after the other: `mlinfra demo --clouds`.

First on this machine, which is the measure: every cloud must reach the same AUC, answer with the same bits and refuse
the same rows. No account is needed and nothing leaves this machine. A canary waits for its figures as it would in the
cloud, whose metrics are a minute old, so a platform takes some minutes.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import demo

import mlinfra
from mlinfra.contract import adapter as adapters
from mlinfra.emulator import manage
from mlinfra.emulator.platforms import PLATFORMS, check
from mlinfra.engine.invoke import ask, body_of
from mlinfra.errors import MlinfraError

if TYPE_CHECKING:
    from collections.abc import Iterator

Rows = dict[str, dict[str, Any]]

LOCAL = "local"
BAD_CELLS = (("Age", 770), ("Income", "plenty"), ("Home", "castle"), ("Amount", None))
CANARY = ("--set", "rollout.steps=[50%, 100%]")  # two waits for figures in place of three
DELAYS = "0.02"  # of how long a cloud's states last
CAPTURED = 300  # seconds by which a cloud's capture is late at most; the emulator's clock is put forward by them
COLUMNS = ("platform", "AUC", "predictions", "rejections", "failed while replaced", "replayed", "left over", "seconds")


@dataclass
class Story:
    """What happened on one platform. `cause` is why it ended early, empty where it did not."""

    platform: str
    auc: float = 0.0
    predictions: list[Any] = field(default_factory=list)
    rejections: list[Any] = field(default_factory=list)
    requests: int = 0
    failed: int = 0
    replayed: int = 0
    left: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cause: str = ""

    def is_like(self, measure: Story) -> bool:
        """Whether nothing went wrong and everything is as on the platform that is the measure."""
        mine, theirs = ((each.auc, each.predictions, each.rejections) for each in (self, measure))
        return not (self.cause or self.failed or self.left) and mine == theirs

    def row(self, measure: Story) -> tuple[str, ...]:
        """Its line of the table."""
        same = sum(one == other for one, other in zip(self.predictions, measure.predictions, strict=False))
        return (
            self.platform,
            f"{self.auc:.4f}",
            f"{len(self.predictions)}, {same} as on {measure.platform}",
            f"{len(self.rejections)}" + ("" if self.rejections == measure.rejections else ", others"),
            f"{self.failed} of {self.requests}",
            str(self.replayed),
            str(len(self.left)),
            f"{self.seconds:.0f}",
        )


def main() -> int:
    """Every platform's story, and a table of them all. 1 where one is not like the first."""
    stories = []
    for platform in (LOCAL, *clouds()):
        with workshop() as (project, state):
            stories.append(story(platform, project, state))
    measure = stories[0]
    table([COLUMNS, *(each.row(measure) for each in stories)])
    for each in stories:
        if each.cause:
            print(f"{each.platform} ended early: {each.cause}")
    return int(not all(each.is_like(measure) for each in stories))


def clouds() -> list[str]:
    """The platforms that have both an adapter and an emulator, with the packages that these need."""
    found = []
    for platform in PLATFORMS:
        with suppress(MlinfraError):
            check(platform)
            if platform in adapters.platforms():
                found.append(platform)
    return found


@contextmanager
def workshop() -> Iterator[tuple[Path, Path]]:
    """A project and a state folder of their own, in which this process stands; gone at the end."""
    before, folder = Path.cwd(), Path(tempfile.mkdtemp(prefix="mlinfra-clouds-"))
    project = folder / "credit"
    project.mkdir()
    for name in demo.FILES:
        shutil.copy(demo.HERE / name, project / name)
    (project / "mlinfra.toml").write_text("")
    os.environ["MLINFRA_HOME"] = str(folder / "state")
    os.chdir(project)
    try:
        yield project, folder / "state"
    finally:
        os.chdir(before)
        shutil.rmtree(folder)


def story(platform: str, project: Path, state: Path) -> Story:
    """One platform's story, from the start of its emulator to its end."""
    demo.say(f"=== {platform} ===")
    found, began = Story(platform), time.monotonic()
    if platform == LOCAL:
        found.cause = tried(lambda: live(found, demo.Kit(project, state)))
    else:
        found.cause = tried(lambda: demo.Kit(project, state)("emulator", "start", platform, "--delays-scale", DELAYS))
        emulator = manage.find(project / ".mlinfra" / "emulators" / platform)
        if emulator is not None:
            try:
                kit = demo.Kit(project, state, f"{platform}-emulated")
                found.cause = found.cause or tried(lambda: live(found, kit, emulator))
                found.left = emulator.ask("leftovers")["leftovers"]
            finally:
                manage.stop(emulator)
    found.seconds = time.monotonic() - began
    return found


def tried(act: Any) -> str:
    """Why something ended early: what `demo.check` found, or an error. Empty where it did not."""
    try:
        act()
    except SystemExit as exc:
        return str(exc.code).strip()
    except (MlinfraError, OSError, KeyError, ValueError) as exc:
        return f"{type(exc).__name__}: {exc}"
    return ""


def live(found: Story, kit: demo.Kit, emulator: manage.Running | None = None) -> None:
    """Train, register, deploy, ask, replace by canary, replay, roll back, clean up."""
    people = demo.held_out(kit.project)
    demo.say("Train, register what passes, deploy it")
    job = kit("job", "submit", "mlinfra.yaml", "--wait")["job"]
    found.auc = job["metrics"]["auc"]
    kit("model", "alias", "credit-risk:1", "champion")
    try:
        kit("endpoint", "deploy", "mlinfra.yaml", *CANARY)
        serve(found, kit, demo.predictions(kit, job["id"]), people)
        replace(found, kit, list(people.values()))
        if emulator:
            emulator.ask("clock/advance", {"seconds": CAPTURED})
        replay_and_go_back(found, kit)
    finally:
        demo.say("Clean up")
        kit("endpoint", "delete", "credit-risk", "--yes")
    kit("env", "sweep", "--all", "--yes")


def serve(found: Story, kit: demo.Kit, offline: dict[str, list[float]], people: Rows) -> None:
    """Ask for everybody who was held out, and with rows that no model should see."""
    demo.say("Ask for all 891 who were held out, and with rows that no model should see")
    found.predictions = kit.ask([people[row] for row in offline])
    demo.check("answers as computed in the job", found.predictions, list(offline.values()))
    somebody = people[next(iter(people))]
    found.rejections = [kit.refused({**somebody, column: value}) for column, value in BAD_CELLS]
    demo.check("columns refused", [each["column"] for each in found.rejections], [name for name, _ in BAD_CELLS])


def replace(found: Story, kit: demo.Kit, rows: list[dict[str, Any]]) -> None:
    """Version 2 takes over step by step, while people use the endpoint."""
    demo.say("Version 2 takes over step by step, while people use the endpoint")
    kit("job", "submit", "mlinfra.yaml", "--set", "params.trees=300", "--wait")
    kit("model", "alias", "credit-risk:2", "champion")
    with users(rows, kit.environment["MLINFRA_ENV"]) as answers:
        kit("endpoint", "deploy", "mlinfra.yaml", *CANARY)
    found.requests, found.failed = sum(answers.counts.values()), sum(answers.failed().values())
    demo.check("versions that serve", versions(kit), ["2"])


def replay_and_go_back(found: Story, kit: demo.Kit) -> None:
    """Answer again what was captured, bit for bit; then back to version 1."""
    demo.say("Answer again what was captured, bit for bit, and go back to version 1")
    replay = kit("endpoint", "replay", "credit-risk", "--limit", "200")["replay"]
    found.replayed = replay["same"]
    demo.check("answers that differ from the captured ones", replay["different"], 0)
    demo.check("something was captured", found.replayed > 0, True)
    kit("endpoint", "rollback", "credit-risk", "--yes")
    demo.check("versions that serve", versions(kit), ["1"])


def versions(kit: demo.Kit) -> list[str]:
    """The model versions behind the endpoint."""
    return [each["version"] for each in kit("endpoint", "show", "credit-risk")["endpoint"]["deployments"]]


@contextmanager
def users(rows: list[dict[str, Any]], environment: str) -> Iterator[demo.Answers]:
    """People who ask for one row after the other until the block ends, as the platform wants to be asked."""
    answers, ended = demo.Answers(), threading.Event()
    with mlinfra.environment(environment) as there:
        endpoint = there.endpoints.get("credit-risk").observed

        def use() -> None:
            for row in itertools.cycle(rows):
                if ended.wait(demo.PAUSE):
                    return
                try:
                    answer = ask(there.session, endpoint, body_of([row]))
                except MlinfraError:
                    answers.counts["nobody", 0] += 1
                else:
                    answers.counts[answer.deployment, answer.status] += 1

        thread = threading.Thread(target=use)
        thread.start()
        try:
            yield answers
        finally:
            ended.set()
            thread.join()


def table(rows: list[tuple[str, ...]]) -> None:
    """Print columns as wide as they must be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
