"""Small projects of a user, as the suite submits them: standard library alone, quick to run."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Any

from mlinfra.spec import JobSpec

if TYPE_CHECKING:
    from pathlib import Path

SCRIPTS = {
    "hello.py": """
        import sys
        print("hello", *sys.argv[1:])
        """,
    "fail.py": """
        import sys
        print("about to fail")
        sys.exit("the data has no rows")
        """,
    "sleep.py": """
        import signal, sys, time

        def ended(*_):
            print("asked to stop", flush=True)
            sys.exit(0)

        signal.signal(signal.SIGTERM, ended)
        print("sleeping", flush=True)
        time.sleep(float(sys.argv[1]))
        """,
    "nodes.py": """
        import os
        print("node", os.environ["RANK"], "of", os.environ["WORLD_SIZE"], "at", os.environ["MASTER_ADDR"])
        """,
    "metrics.py": """
        import sys
        import mlinfra
        for step in range(3):
            mlinfra.log_metric("loss", 1.0 / (step + 1), step)
        mlinfra.log_metric("auc", float(sys.argv[1]))
        """,
    "duplicate.py": """
        import pathlib, sys
        source, target = map(pathlib.Path, sys.argv[1:])
        target.mkdir(parents=True, exist_ok=True)
        (target / "copied.txt").write_text(source.read_text())
        (target / "copied.txt").chmod(0o755)
        """,
    "train.py": """
        import json, pathlib, sys
        import mlinfra
        source, target, slope = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), float(sys.argv[3])
        target.mkdir(parents=True, exist_ok=True)
        module = target.parent / "model_code"
        module.mkdir(exist_ok=True)
        (module / "model.py").write_text(
            f"def predict(rows):\\n    return [{slope} * row[0] for row in rows]\\n"
        )
        mlinfra.log_metric("auc", slope)
        mlinfra.save_model(module / "model.py", target, example=[{"x": 1.0}, {"x": 2.0}])
        """,
}


def write_project(folder: Path) -> Path:
    """Every script above, and a little data."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in SCRIPTS.items():
        (folder / name).write_text(dedent(text).lstrip())
    (folder / "data.csv").write_text("x\n1\n2\n")
    return folder


def job(name: str, *command: str, **fields: Any) -> JobSpec:
    """A job that runs one of the scripts."""
    return JobSpec(name=name, code=".", command=["python", *command], **fields)


def training(name: str, slope: float, *, register: dict[str, Any] | None = None) -> JobSpec:
    """A job that trains a model which multiplies by `slope`, and logs that as its AUC."""
    return job(
        name,
        "train.py",
        "${{inputs.data}}",
        "${{outputs.model}}",
        "${{params.slope}}",
        inputs={"data": "data.csv"},
        outputs={"model": {"type": "model"}},
        params={"slope": slope},
        metrics={"auc": {"goal": "max"}},
        register=register or {"output": "model", "name": name.replace("train", "model")},
    )
