"""A model asked on this machine: in a process of its own, with the interpreter and the packages that it needs.

The client itself never loads a model. What the child gets is the verified package, the rows, and nothing of the
user's environment: no credentials, no home.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.engine.fetching import scratch
from mlinfra.errors import CapabilityError, IntegrityError, InvocationFailed
from mlinfra.package import Lock, find_interpreter, lock, make_environment
from mlinfra.package.kitfiles import kit_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlinfra.engine.session import Session
    from mlinfra.modelkit import Manifest

_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_COMPILED = (".so", ".pyd", ".sha256")  # the walk over sealed trees, where it is installed
_LAST_LINES = 20  # of what a failing model printed

_CHILD = """
import json, sys
sys.path.insert(0, sys.argv[1])
from mlinfra.errors import MlinfraError
from mlinfra.modelkit import load_predictor
with open(sys.argv[2]) as stream:
    asked = json.load(stream)
try:
    predictor = load_predictor(asked["package"], digest=asked["digest"])
    answer = {"predictions": predictor.predict(asked["rows"]), "way": predictor.way}
except MlinfraError as exc:
    answer = {"error": exc.as_document()}
with open(sys.argv[3], "w") as stream:
    json.dump(answer, stream)
"""
_ERRORS = {error.__name__: error for error in (CapabilityError, IntegrityError)}


@dataclass(frozen=True)
class Answers:
    """Predictions in the order of the rows. `way` is `sealed` or `estimator`."""

    predictions: list[Any]
    way: str


def predict(
    session: Session,
    folder: Path,
    manifest: Manifest,
    rows: list[list[Any]],
    *,
    candidates: Iterable[Path] = (),
    timeout: float,
) -> Answers:
    """Ask the model of a fetched package for all rows at once.

    `candidates` are interpreters that may have its packages; else an environment is made, once. `timeout` in seconds.

    Raises:
        CapabilityError: no interpreter of the model's Python is here.
        IntegrityError: the package is not what its digest names.
        InvocationFailed: the model failed, or gave no answer in time.
    """
    python = _interpreter(session, manifest, [Path(sys.executable), *candidates])
    with scratch(session) as place:
        kit, asked, answered, home = (place / name for name in ("kit", "asked.json", "answered.json", "home"))
        home.mkdir()
        _lay_out(kit)
        asked.write_text(json.dumps({"package": str(folder.resolve()), "digest": manifest.digest, "rows": rows}))
        said = _run([str(python), "-I", "-c", _CHILD, str(kit), str(asked), str(answered)], home, timeout)
        try:
            answer = json.loads(answered.read_text())
        except (OSError, ValueError) as exc:
            session.say("\n".join(said))
            last = said[-1] if said else "nothing was printed"
            raise InvocationFailed("the model failed on these rows", given=last) from exc
    if "error" in answer:
        raise _error(answer["error"])
    return Answers(answer["predictions"], answer["way"])


def _interpreter(session: Session, manifest: Manifest, candidates: list[Path]) -> Path:
    python = manifest.python or f"{sys.version_info[0]}.{sys.version_info[1]}"
    text = "".join(f"{requirement}\n" for requirement in manifest.requirements)
    found = find_interpreter(python, Lock.of(text), candidates)
    if found is not None:
        return found
    session.say(f"making an environment with Python {python} and {len(manifest.requirements)} packages")
    cache, index = session.folders.cache, session.environment.python_index or None
    with scratch(session) as place:
        wanted = place / "requirements.txt"
        wanted.write_text(text)
        locked = lock(wanted, python, index=index, cache=cache, candidates=candidates)
    return make_environment(locked, python, cache, index=index, candidates=candidates)


def _lay_out(kit: Path) -> None:
    """The part of the kit that loads models, by itself: the interpreter may have another version of everything."""
    for name, content in kit_files().items():
        _write(kit / name, content)
    with resources.as_file(resources.files("mlinfra") / "modelkit") as source:
        for path in source.rglob("*"):
            if path.suffix in _COMPILED:
                _write(kit / "mlinfra" / "modelkit" / path.relative_to(source), path.read_bytes())


def _write(place: Path, content: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


def _run(command: list[str], home: Path, timeout: float) -> list[str]:
    """Run to the end and return the last lines printed; whatever it started is ended with it."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    with subprocess.Popen(
        command,
        cwd=home,
        env={**environment, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        errors="replace",
    ) as process:
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as exc:
            raise InvocationFailed(f"the model gave no answer in {timeout:.0f} s", todo="ask for fewer rows") from exc
        finally:
            _end(process)
    return [line for line in said.splitlines() if line.strip()][-_LAST_LINES:]


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _error(document: dict[str, Any]) -> Exception:
    kind = _ERRORS.get(document["code"], InvocationFailed)
    return kind(document["what"], given=document.get("given", ""), todo=document.get("todo", ""))
