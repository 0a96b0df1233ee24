"""What a stack costs: the first `up` of `local-dev`, and each program beside an empty one.

    python benchmarks/stacks.py

Run in a fresh clone of the working tree in a temporary folder, with a state and a home of its own; stacks of clouds are
attached to stand-in providers in this process. Wall seconds of whole processes, the median of several runs; CPU seconds
of everything that a run started beside them.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from mlinfra.emulator.providers import Providers
from mlinfra.engine import sync

ROOT = Path(__file__).parents[1]
RUNS = 3
STACK = "local-dev"
EMPTY = "import pulumi\n"
CLOUDS = {
    "aws": {"region": "eu-west-1", "account": "111122223333"},
    "azure": {
        "region": "westeurope",
        "account": "00000000-0000-4000-8000-000000000001",
        "tenant": "00000000-0000-4000-8000-000000000002",
    },
    "gcp": {"region": "europe-west4", "account": "mlinfra-emulated"},
}


class Cost(NamedTuple):
    """Seconds."""

    wall: float
    cpu: float


def main() -> None:
    """Measure and print."""
    program = sync.program(ROOT)
    if program is None:
        sys.exit("`make pulumi` brings the engine up")
    with tempfile.TemporaryDirectory() as folder:
        clone, variables = fresh(Path(folder), program)
        print(f"median of {RUNS}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start")
        print(f"{'':44}{'wall s':>8}{'CPU s':>8}")
        show("mlinfra env up local-dev, the first", first_ups(clone, variables))
        show("mlinfra env up local-dev, unchanged", repeated(clone, variables, mlinfra("env", "up", STACK)))
        show("mlinfra env preview local-dev", repeated(clone, variables, mlinfra("env", "preview", STACK)))
        programs(clone, variables, program, "local")
        with Providers(Path(folder) / "providers") as providers:
            for platform, own in CLOUDS.items():
                config = {"platform": platform, "stage": "dev", "emulated": True, **own}
                written = json.dumps({"config": {f"mlinfra:{key}": value for key, value in config.items()}})
                (clone / "stacks" / "config" / f"Pulumi.{platform}-dev.yaml").write_text(written)
                programs(clone, {**variables, **providers.variables()}, program, platform)


def programs(clone: Path, variables: dict[str, str], program: Path, platform: str) -> None:
    """The platform's program beside an empty one, and one that loads the same packages and makes nothing."""
    stack, file = f"{platform}-dev", clone / "stacks" / f"{platform}.py"
    measured(clone, variables, [str(program), "--non-interactive", "stack", "select", "--create", stack])
    for name, text in {"empty program": EMPTY, "packages loaded": loading(platform), "the program": ""}.items():
        file.write_text(text or (ROOT / "stacks" / file.name).read_text())
        show(f"pulumi preview {stack}, {name}", repeated(clone, variables, preview(program, stack)))


def loading(platform: str) -> str:
    """A program that loads what the platform's loads. The vendors' classes load when they are first used."""
    sources = [path.read_text() for path in (ROOT / "src" / "mlinfra" / "infra" / platform).glob("*.py")]
    imported = {
        (package, module.strip())
        for source in sources
        for package, modules in re.findall(r"^from (pulumi_\w+) import (.+)$", source, re.MULTILINE)
        for module in modules.split(",")
    }
    used = {
        f"{package}.{module}.{name}"
        for package, module in imported
        for source in sources
        if f"from {package} import" in source
        for name in re.findall(rf"\b{module}\.([A-Z]\w+)", source)
    }
    packages = sorted({package for package, _ in imported})
    imports = [f"import {name}" for name in ("pulumi", f"mlinfra.infra.{platform}.stack", *packages)]
    return "\n".join([*imports, *sorted(used)]) + "\n"


def fresh(folder: Path, program: Path) -> tuple[Path, dict[str, str]]:
    """A clone, and the environment that commands in it get."""
    clone, state = folder / "clone", folder / "clone" / ".mlinfra" / "pulumi"
    ignored = shutil.ignore_patterns("__pycache__", ".venv")
    shutil.copytree(ROOT / "stacks", clone / "stacks", ignore=ignored)
    shutil.copy(ROOT / "Pulumi.yaml", clone)
    (clone / "mlinfra.toml").touch()
    (clone / ".venv").symlink_to(sys.prefix)
    (clone / "stacks" / ".venv").symlink_to("../.venv")
    state.mkdir(parents=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "MLINFRA_"))}
    variables = {
        **kept,
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "MLINFRA_HOME": str(folder / "home"),
        "PULUMI_HOME": str(folder / "home" / "pulumi"),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    return clone, variables


def first_ups(clone: Path, variables: dict[str, str]) -> list[Cost]:
    """Each on a state in which the stack is not known yet; the last one stands."""
    costs = []
    for _ in range(RUNS):
        shutil.rmtree(clone / ".mlinfra")
        (clone / ".mlinfra" / "pulumi").mkdir(parents=True)
        shutil.copy(ROOT / "stacks" / "config" / f"Pulumi.{STACK}.yaml", clone / "stacks" / "config")
        costs.append(measured(clone, variables, mlinfra("env", "up", STACK)))
    return costs


def repeated(clone: Path, variables: dict[str, str], command: list[str]) -> list[Cost]:
    """The same command several times, after one that warms what is read from disk."""
    measured(clone, variables, command)
    return [measured(clone, variables, command) for _ in range(RUNS)]


def measured(clone: Path, variables: dict[str, str], command: list[str]) -> Cost:
    """One run of a command that must succeed."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, cwd=clone, env=variables, capture_output=True, text=True, check=False)
    wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def mlinfra(*arguments: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "mlinfra.cli.main", *arguments]


def preview(program: Path, stack: str) -> list[str]:
    """The plain engine."""
    return [str(program), "--non-interactive", "preview", "--stack", stack]


def show(what: str, costs: list[Cost]) -> None:
    """One line of the table."""
    wall, cpu = (statistics.median(values) for values in zip(*costs, strict=True))
    print(f"{what:44}{wall:8.2f}{cpu:8.2f}", flush=True)


if __name__ == "__main__":
    main()
