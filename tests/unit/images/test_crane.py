"""Against a registry and an inspector that others wrote: what was pushed starts and answers on each contract."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import csimdjson
import pytest

from mlinfra.images.assemble import MANIFEST
from mlinfra.images.content import canonical, digest_of
from mlinfra.images.layer import folder_entries, pack
from mlinfra.images.login import anonymous
from mlinfra.images.reference import Reference
from mlinfra.images.registry import Blob, Registry
from mlinfra.images.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

CRANE = "github.com/google/go-containerregistry/cmd/crane@v0.20.6"
ROOT = Path(__file__).parents[3]
PATIENCE = 30.0
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"

SYSTEM = f"{os.environ['PATH']}:/usr/sbin:/sbin"  # where `chroot` is
LDD, GO = shutil.which("ldd") or "ldd", shutil.which("go") or "go"
CHROOT, UNSHARE = shutil.which("chroot", path=SYSTEM) or "chroot", shutil.which("unshare") or "unshare"
_LEFT_OUT = (
    "test",
    "tests",
    "site-packages",
    "__pycache__",
    "idlelib",
    "tkinter",
    "ensurepip",
    "lib2to3",
    "turtledemo",
)
_LIBRARY = re.compile(r"(?:=>\s*)?(/\S+) \(0x")


def make_base(target: Path) -> Path:
    """A root file system with this Python below /usr/local, as the official Python images have it."""
    prefix, version = Path(sys.base_prefix), f"{sys.version_info[0]}.{sys.version_info[1]}"
    home = target / "usr" / "local"
    (home / "bin").mkdir(parents=True)
    shutil.copy2((prefix / "bin" / f"python{version}").resolve(), home / "bin" / f"python{version}")
    (home / "bin" / "python3").symlink_to(f"python{version}")
    shutil.copytree(
        prefix / "lib" / f"python{version}",
        home / "lib" / f"python{version}",
        ignore=lambda _folder, names: [name for name in names if name in _LEFT_OUT or name.startswith("config-")],
    )
    programs = [home / "bin" / f"python{version}", Path(csimdjson.__file__), *home.rglob("lib-dynload/*.so")]
    told = subprocess.run([LDD, *map(str, programs)], capture_output=True, text=True, check=True).stdout
    found = set(_LIBRARY.findall(told))
    system = Path(next(library for library in found if "/libc.so" in library)).parent
    found |= {str(system / f"lib{name}") for name in ("rt.so.1", "pthread.so.0", "dl.so.2", "util.so.1")}
    for library in sorted(found):
        place = home / "lib" / Path(library).name if library.startswith(str(prefix)) else target / library.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(Path(library).resolve(), place)
    for folder in ("tmp", "dev", "proc", "etc"):
        (target / folder).mkdir(exist_ok=True)
    (target / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    return target


def inside(root: Path, command: list[str], variables: dict[str, str]) -> list[str]:
    """The command line that runs a command with `root` as its whole file system."""
    entered = [] if os.geteuid() == 0 else [UNSHARE, "--map-root-user"]
    program = next(
        place
        for folder in variables["PATH"].split(":")
        if (place := root / folder.lstrip("/") / command[0]).exists() or place.is_symlink()
    )
    return [*entered, CHROOT, str(root), f"/{program.relative_to(root)}", *command[1:]]


@pytest.fixture(scope="module")
def crane() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlinfra-tests" / CRANE.partition("@")[2]
    if not (home / "crane").exists():
        subprocess.run([GO, "install", CRANE], env={**os.environ, "GOBIN": str(home)}, check=True)
    return home / "crane"


@pytest.fixture(scope="module")
def host(crane: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("registry")
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [str(crane), "registry", "serve", "--address", f"127.0.0.1:{port}", "--disk", str(folder)],
        stdout=log,
        stderr=log,
    )
    wait_for(port, "/v2/")
    yield f"127.0.0.1:{port}"
    process.kill()
    process.wait()
    log.close()


@pytest.fixture(scope="module")
def base(host: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter at hand as a base image in the registry."""
    place = tmp_path_factory.mktemp("base")
    layer = pack((entry for entry in _without_top(make_base(place / "rootfs"))), "interpreter", place / "cache")
    environment = ["PATH=/usr/local/bin:/usr/bin", "LD_LIBRARY_PATH=/usr/local/lib", f"PYTHON_VERSION={VERSION}.0"]
    config = canonical(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": environment, "Cmd": ["python3"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        }
    )
    item = {
        "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "size": layer.size,
        "digest": layer.digest,
    }
    described = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config)}
    manifest = canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {**described, "digest": digest_of(config)},
            "layers": [item],
        }
    )
    reference = Reference.parse(f"{host}/python:{VERSION}")
    registry = Registry(reference, anonymous, Transport(), writes=True)
    registry.put_blob("python", Blob(layer.digest, layer.size, lambda: layer.path.open("rb")))
    registry.put_blob("python", Blob(digest_of(config), len(config), lambda: io.BytesIO(config)))
    registry.put_manifest("python", VERSION, manifest, MANIFEST)
    return str(reference)


def _without_top(root: Path) -> Any:
    for entry in folder_entries(root, "top"):
        yield type(entry)(entry.path.removeprefix("top/"), entry.mode, entry.source, entry.link)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's credit model."""
    place, credit = tmp_path_factory.mktemp("model"), ROOT / "examples" / "credit"
    arguments = ["--data", credit / "credit.csv", "--holdout", credit / "holdout.csv", "--trees", "30"]
    arguments += ["--model", place / "model", "--report", place]
    subprocess.run([sys.executable, str(credit / "train.py"), *map(str, arguments)], check=True, capture_output=True)
    return place / "model"


def mlinfra(project: Path, *arguments: str, **options: Any) -> dict[str, Any]:
    project.mkdir(parents=True, exist_ok=True)
    (project / "mlinfra.toml").write_text("")
    command = [sys.executable, "-m", "mlinfra.cli.main", *arguments, "-o", "json"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wait_for(port: int, path: str) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.02)
    raise AssertionError(f"nothing answers on port {port}")


@pytest.fixture(scope="module")
def pushed(host: str, base: str, model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("project")
    options = ["--base", base, "--to", f"{host}/credit", "--model", str(model)]
    told = mlinfra(place / "one", "image", "push", *options)
    kept = json.loads((place / "one" / ".mlinfra" / "environments" / "local.json").read_text())
    assert kept["images"]["serving"]["uri"] == told["image"]

    before = os.umask(0o077)
    try:
        before_it = resource.getrusage(resource.RUSAGE_CHILDREN)
        again = mlinfra(
            place / "two" / "deeper", "image", "push", *options, env={**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C"}
        )
        after_it = resource.getrusage(resource.RUSAGE_CHILDREN)
        told["seconds"] = after_it.ru_utime + after_it.ru_stime - before_it.ru_utime - before_it.ru_stime
    finally:
        os.umask(before)
    assert (again["digest"], again["sent"]) == (told["digest"], 0)
    return told


def test_another_folder_umask_and_clock_give_the_same_digest_in_five_seconds(pushed: dict[str, Any]):
    # of processor time, with a cold cache of layers; uv's own cache of wheels is warm
    assert pushed["seconds"] < 5


def test_the_inspector_finds_nothing_wrong(crane: Path, pushed: dict[str, Any]):
    done = subprocess.run(
        [str(crane), "validate", "--remote", pushed["image"]], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.startswith("PASS")) == (0, True), done.stderr
    manifest = json.loads(subprocess.check_output([str(crane), "manifest", pushed["image"]]))
    assert manifest["mediaType"] == MANIFEST


@pytest.fixture(scope="module")
def exported(crane: Path, pushed: dict[str, Any], model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's file system with the model where SageMaker puts it."""
    root = tmp_path_factory.mktemp("exported") / "root"
    exporting = subprocess.Popen([str(crane), "export", pushed["image"], "-"], stdout=subprocess.PIPE)
    with tarfile.open(fileobj=exporting.stdout, mode="r|") as archive:
        archive.extractall(root, filter="fully_trusted")  # noqa: S202  made by this test
    assert exporting.stdout
    exporting.stdout.close()
    assert exporting.wait() == 0
    shutil.copytree(model, root / "opt" / "ml" / "model")
    return root


@contextmanager
def container(
    crane: Path, root: Path, image: str, *arguments: str, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """What a platform does: the image's entrypoint and variables, and its own beside them."""
    config = json.loads(subprocess.check_output([str(crane), "config", image]))["config"]
    settings = dict(item.split("=", 1) for item in config["Env"])
    settings |= variables
    command = inside(root, [*config["Entrypoint"], *arguments], settings)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=settings)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, process.stdout.read() if process.stdout else ""
        if process.stdout:
            process.stdout.close()


def ask(port: int, path: str, rows: Any) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("POST", path, json.dumps({"instances": rows}), {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    assert response.status == 200, content
    return json.loads(content)["predictions"]


CONTRACTS = {
    "sagemaker": (["serve"], {}, "/ping", "/invocations"),
    "vertex": (
        [],
        {"AIP_HEALTH_ROUTE": "/alive", "AIP_PREDICT_ROUTE": "/p", "AIP_STORAGE_URI": "/opt/ml/model"},
        "/alive",
        "/p",
    ),
    "azure": ([], {"AZUREML_MODEL_DIR": "/opt/ml/model"}, "/", "/score"),
}


def manifest_of(port: int) -> str:
    return json.dumps({"serving": {"port": port}})


@pytest.mark.parametrize("platform", CONTRACTS)
def test_what_was_pushed_answers_on_each_contract(
    crane: Path, pushed: dict[str, Any], exported: Path, model: Path, platform: str
):
    arguments, variables, health, predict = CONTRACTS[platform]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    told = {"AIP_HTTP_PORT": str(port)} if platform == "vertex" else {"MLINFRA_MANIFEST_0": manifest_of(port)}
    variables = {**variables, **told}
    example = json.loads((model / "mlinfra-model.json").read_text())["example"]
    with container(crane, exported, pushed["image"], *arguments, **variables):
        wait_for(port, health)
        assert ask(port, predict, example["rows"]) == example["predictions"]
