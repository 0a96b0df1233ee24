"""The order of a run: manifest, inputs, requirements, command, outputs; and, however it goes, a report."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from itertools import islice
from pathlib import Path

from mlinfra.runner.addresses import last_part, scheme_of
from mlinfra.runner.checkpoints import kept
from mlinfra.runner.digest import Content, content_of, settle_links
from mlinfra.runner.environment import Run, environment, references
from mlinfra.runner.fetch import check, fetch
from mlinfra.runner.manifest import Input, Manifest, read_manifest
from mlinfra.runner.nodes import find_nodes
from mlinfra.runner.places import RESULT, ROOT, Places, find_places
from mlinfra.runner.problem import MISSING, WRONG, RunnerError, Stopped
from mlinfra.runner.process import Outcome, Relay, run
from mlinfra.runner.references import resolve, resolve_shell
from mlinfra.runner.report import End, Report
from mlinfra.runner.requirements import WHEELS, install, installed, missing
from mlinfra.runner.tuning import tuned
from mlinfra.runner.unpack import own_bundle, unpack
from mlinfra.runner.upload import upload
from mlinfra.runner.vault import Masker, reveal

_FAULT = 70  # of the kit itself
_STOPPED = 128  # and the signal's number
_INTERPRETERS = {"python", "python3"}  # mean the one that the requirements were installed for
_SHELL = "/bin/sh"


def main() -> int:
    """Run the job that the environment describes. Returns the exit code: the user's command's own where it ran."""
    report = Report(Path(os.environ[RESULT]) if RESULT in os.environ else None)
    relay = Relay(os.environ)
    relay.install()
    try:
        end = _run_job(report, relay)
    except RunnerError as problem:
        end = End("failed", problem.exit_code, str(problem))
    except Stopped as stop:
        name = signal.Signals(stop.number).name
        end = End("stopped", _STOPPED + stop.number, f"{name} came before the command ran or after its end")
    except Exception as exc:  # noqa: BLE001  the last line of defence: the platform must still learn why
        sys.stderr.write(report.masker.hide_text(traceback.format_exc()))
        end = End("failed", _FAULT, f"a fault of mlinfra's runner: {type(exc).__name__}: {exc}")
    relay.hold()
    return report.end(end)


def _run_job(report: Report, relay: Relay) -> End:
    manifest = read_manifest(os.environ)
    nodes = find_nodes(manifest.nodes, Path(os.environ.get(ROOT) or "/"), os.environ)
    places = find_places(os.environ, manifest.platform, manifest.result.get("path"), nodes.rank)
    report.folder, report.uri = places.result, manifest.result.get("uri")
    try:
        secrets = reveal(manifest.secrets, os.environ)
        report.masker = Masker(secrets.values())
        report.phase = "inputs"
        inputs = {name: _bring(name, item, places, secrets) for name, item in manifest.inputs.items()}
        job = Run(
            manifest=manifest,
            places=places,
            nodes=nodes,
            inputs=inputs,
            channels={name: _channel(name, place, places) for name, place in inputs.items()},
            outputs={
                name: Path(output.path or places.work / "outputs" / name) for name, output in manifest.outputs.items()
            },
            params=tuned(manifest.params, places.root, os.environ, sys.argv[1:]),
        )
        return _run_command(job, secrets, report, relay)
    finally:
        places.clean_up()


def _run_command(job: Run, secrets: dict[str, str], report: Report, relay: Relay) -> End:
    report.phase = "requirements"
    code = unpack(own_bundle(), _empty(job.places.work / "code"))
    search = _provide(code.lock, job.places, report)
    for folder in (*job.outputs.values(), job.model, job.checkpoint):
        folder.mkdir(parents=True, exist_ok=True)
    report.phase = "command"
    with kept(job.checkpoint, job.manifest.checkpoint.get("uri"), sends=job.nodes.rank == 0):
        outcome = _try(job, code.folder, environment(job, os.environ, secrets, search), report, relay)
    if outcome.exit_code:
        return End("stopped" if outcome.stopped else "failed", outcome.exit_code, outcome.reason, outcome.last)
    report.phase = "outputs"
    if job.nodes.rank == 0:
        report.outputs = {name: _take(name, place, job) for name, place in job.outputs.items()}
    return End("stopped" if outcome.stopped else "succeeded", 0)


def _try(job: Run, folder: Path, variables: dict[str, str], report: Report, relay: Relay) -> Outcome:
    """Run the command, and again as often as the user allows, unless somebody asked it to stop."""
    command = _words(job.manifest, references(job))
    for attempt in range(job.manifest.retries + 1):
        outcome = run(command, folder, {**variables, "MLINFRA_TRY": str(attempt + 1)}, report.masker, relay)
        report.printed = [*report.printed, *outcome.metrics]
        if outcome.exit_code == 0 or outcome.stopped:
            break
    return outcome


def _words(manifest: Manifest, values: dict[str, str]) -> list[str]:
    if manifest.shell is not None:
        return [_SHELL, "-c", resolve_shell(manifest.shell, values)]
    words = resolve(manifest.command, values)
    return [sys.executable if words[0] in _INTERPRETERS else words[0], *words[1:]]


def _bring(name: str, item: Input, places: Places, secrets: dict[str, str]) -> Path:
    """The place of an input, after bringing it where it is not there yet."""
    if item.path is not None:
        if not Path(item.path).exists():
            raise RunnerError(f"input {name}: there is nothing at {item.path}", MISSING)
        check(Path(item.path), item.digest, f"input {name}")
        return Path(item.path)
    if item.token is not None and item.token not in secrets:
        raise RunnerError(f"input {name}: its token {item.token} is none of the job's secrets", WRONG)
    uri = item.uri or ""
    target = _empty(places.work / "inputs" / name) / (last_part(uri) or name)
    return fetch(uri, target, digest=item.digest, token=secrets[item.token] if item.token else None)


def _channel(name: str, place: Path, places: Places) -> Path:
    """The folder that holds an input and nothing else."""
    if place.is_dir():
        return place
    if _is_alone(place):
        return place.parent
    folder = _empty(places.work / "channels" / name)
    folder.mkdir(parents=True)
    (folder / place.name).symlink_to(place.absolute())
    return folder


def _is_alone(place: Path) -> bool:
    try:
        with os.scandir(place.parent) as entries:
            return len(list(islice(entries, 2))) == 1
    except OSError:
        return False


def _provide(lock: str | None, places: Places, report: Report) -> list[str]:
    """What the command's Python searches first: what the image lacked, and the kit's own modules."""
    search = [str(own_bundle())]
    if lock:
        lacking = missing(lock, installed(sys.path))
        if lacking:
            site = _empty(places.work / "site")
            wheels = _wheels(os.environ.get(WHEELS), places)
            sys.stderr.write(f"mlinfra: installing {', '.join(package.text.split()[0] for package in lacking)}\n")
            install(lacking, site, wheels)
            search.insert(0, str(site))
    present = installed([*search, *sys.path])
    report.requirements = sorted(f"{name}=={version}" for name, version in present.items())
    return search


def _wheels(place: str | None, places: Places) -> Path | None:
    """The folder of wheels: where the platform put it, or fetched from where it lies."""
    if place is None or not scheme_of(place):
        return Path(place) if place else None
    return fetch(place, _empty(places.work / "wheels"))


def _take(name: str, place: Path, job: Run) -> Content:
    """Name what the command left in an output, and take it where it goes."""
    for link in settle_links(place):
        sys.stderr.write(f"mlinfra: output {name}: removed a link that means nothing elsewhere: {link}\n")
    content = content_of(place, hidden=job.places.result, modes=False)
    output = job.manifest.outputs[name]
    if output.type == "model" and not content.files:
        raise RunnerError(f"the command ended well, but left nothing in output {name}: {place}", MISSING)
    if output.uri is not None:
        upload(place, output.uri, hidden=job.places.result)
    return content


def _empty(folder: Path) -> Path:
    """The place of a folder, with nothing there."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder
