"""Images: the same inputs give the same digest, and what is pushed is what a platform can run."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mlinfra.errors import CapabilityError, NotFound, SpecError, UsageError
from mlinfra.images.assemble import MANIFEST
from mlinfra.images.build import Recipe, build, model_requirements, push
from mlinfra.images.content import canonical, digest_of
from mlinfra.images.kit import kit_entries, machine_of
from mlinfra.images.login import anonymous
from mlinfra.images.site import serving_requirements
from mlinfra.images.transport import Transport
from mlinfra.modelkit.manifest import Manifest

WHEELS = {"httptools": "0.9.0", "numpy": "2.4.0", "orjson": "3.13.0", "pysimdjson": "7.0.2", "uvloop": "0.23.0"}
OPTIONS: Any = {"source": anonymous, "transport": Transport()}


def wheel(folder: Path, name: str, version: str, tag: str = "py3-none-any") -> None:
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": b"",
        f"{name}-{version}.data/scripts/run-{name}": b"#!python\nprint(1)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-tool = {name}:main\n".encode(),
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()},{len(content)}\n"
        for path, content in files.items()
    )
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index in a folder: tiny stand-ins for what the server needs."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, version in WHEELS.items():
        wheel(folder, name, version)
    wheel(folder, "fast", "1.0", "cp311-cp311-manylinux_2_28_x86_64")
    wheel(folder, "fast", "1.0", "cp311-cp311-manylinux_2_28_aarch64")
    (tmp_path / "uv.toml").write_text(f'no-index = true\nfind-links = ["{folder}"]\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return folder


def files_of(layer: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        return {member.name: member for member in archive.getmembers()}


def text_in(layer: bytes, path: str) -> str:
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        found = archive.extractfile(path)
        assert found
        return found.read().decode()


def test_the_extra_is_what_the_server_needs():
    assert {item.partition(">")[0] for item in serving_requirements()} == set(WHEELS)


def test_folder_umask_and_order_do_not_change_the_digest(served: Any, tmp_path: Path):
    served.put_base("team/python:3.11", {"usr/bin/python3": b"x"}, tmp_path / "base")
    base = served.reference("team/python:3.11")
    one = build(base, Recipe(requirements=("fast", "numpy")), cache=tmp_path / "one", **OPTIONS)
    before = os.umask(0o077)
    try:
        deep = tmp_path / "another" / "much" / "deeper" / ("folder" * 20)
        two = build(base, Recipe(requirements=("numpy", "fast")), cache=deep, **OPTIONS)
    finally:
        os.umask(before)
    again = build(base, Recipe(requirements=("fast", "numpy")), cache=tmp_path / "one", **OPTIONS)

    assert one.digest == two.digest == again.digest
    assert one.image.manifest == two.image.manifest
    assert build(base, Recipe(), cache=tmp_path / "one", **OPTIONS).digest != one.digest


def test_the_image_is_in_the_one_form_that_every_platform_takes(served: Any, tmp_path: Path):
    digest = served.put_base("team/python:3.11", {"usr/bin/python3": b"x"}, tmp_path / "base", Entrypoint=["old"])
    base, target = served.reference("team/python:3.11"), served.reference("team/serving:v1")
    built = build(base, Recipe(), cache=tmp_path / "cache", **OPTIONS)
    traffic = push(built, target, cache=tmp_path / "cache", **OPTIONS)

    content, kind = served.store.manifests["team/serving"]["v1"]
    manifest = json.loads(content)
    assert kind == manifest["mediaType"] == MANIFEST == "application/vnd.docker.distribution.manifest.v2+json"
    assert digest_of(content) == built.digest
    assert manifest["config"]["mediaType"] == "application/vnd.docker.container.image.v1+json"
    assert {layer["mediaType"] for layer in manifest["layers"]} == {"application/vnd.docker.image.rootfs.diff.tar.gzip"}
    blobs = served.store.blobs["team/serving"]
    config = json.loads(blobs[manifest["config"]["digest"]])
    unpacked = [gzip.decompress(blobs[layer["digest"]]) for layer in manifest["layers"]]
    assert config["rootfs"]["diff_ids"] == [digest_of(content) for content in unpacked]
    inner = config["config"]
    assert (inner["Entrypoint"], inner.get("Cmd")) == (["python3", "-m", "mlinfra.serving"], None)
    assert "PYTHONPATH=/opt/mlinfra/site" in inner["Env"]
    assert "PATH=/usr/local/bin:/usr/bin" in inner["Env"]
    assert inner["ExposedPorts"] == {"8080/tcp": {}}
    assert inner["Labels"]["org.opencontainers.image.base.digest"] == digest
    assert inner["Labels"]["com.amazonaws.sagemaker.capabilities.multi-models"] == "true"
    assert (config["created"], "author" in config) == ("1980-01-01T00:00:00Z", False)
    assert (traffic.mounted, traffic.uploaded) == (1, 3)  # the base's layer; packages, kit and config


def test_the_layers_hold_the_server_and_its_packages(served: Any, tmp_path: Path):
    served.put_base("team/python:3.11", {"usr/bin/python3": b"x"}, tmp_path / "base")
    built = build(served.reference("team/python:3.11"), Recipe(), cache=tmp_path / "cache", **OPTIONS)
    packages, kit = (layer.path.read_bytes() for layer in built.image.layers)

    names = files_of(packages)
    assert "opt/mlinfra/site/orjson/__init__.py" in names
    assert not [name for name in names if name.endswith((".lock/", "uv_cache.json", "direct_url.json", ".pyc"))]
    assert "opt/mlinfra/site/.lock" not in names
    assert "orjson==3.13.0" in text_in(packages, "opt/mlinfra/requirements.lock")
    for script in ("orjson-tool", "run-orjson"):
        assert text_in(packages, f"opt/mlinfra/site/bin/{script}").startswith("#!/usr/bin/env python3\n")
        assert names[f"opt/mlinfra/site/bin/{script}"].mode == 0o755
    assert "bin/" not in text_in(packages, "opt/mlinfra/site/orjson-3.13.0.dist-info/RECORD")
    inside = set(files_of(kit))
    assert {"opt/mlinfra/site/mlinfra/serving/main.py", "opt/mlinfra/site/mlinfra/runner/fetch.py"} <= inside
    assert not [name for name in inside if "/engine" in name or "/cli" in name or "__pycache__" in name]
    here = str(tmp_path).encode()
    assert here not in gzip.decompress(packages)


def test_a_push_goes_on_where_it_stood_and_repeats_nothing(served: Any, tmp_path: Path):
    served.put_base("team/python:3.11", {"usr/bin/python3": b"x"}, tmp_path / "base")
    built = build(served.reference("team/python:3.11"), Recipe(), cache=tmp_path / "cache", **OPTIONS)
    target = served.reference("other/serving:v1")
    push(built, target, cache=tmp_path / "cache", **OPTIONS)
    del served.store.blobs["other/serving"][built.image.layers[0].digest]
    del served.store.manifests["other/serving"]["v1"]

    second = push(built, target, cache=tmp_path / "cache", **OPTIONS)
    assert (second.uploaded, second.sent, second.present) == (1, built.image.layers[0].size, 3)
    served.store.log.clear()
    third = push(built, target, cache=tmp_path / "cache", **OPTIONS)
    assert (third.sent, third.uploaded, third.mounted) == (0, 0, 0)
    assert {method for method, _, _ in served.store.log} == {"HEAD"}


def test_a_base_of_another_registry_is_carried_over(served: Any, tmp_path: Path):
    served.put_base("team/python:3.11", {"usr/bin/python3": b"x" * 100}, tmp_path / "base")
    served.store.mounts = False
    served.store.redirects = True
    base = served.reference("team/python:3.11")
    built = build(base, Recipe(kind="runner"), cache=tmp_path / "cache", **OPTIONS)
    traffic = push(built, served.reference("team/runner:v1"), cache=tmp_path / "cache", **OPTIONS)
    assert (traffic.mounted, traffic.uploaded) == (0, 3)  # the base's layer, the kit, the config


def test_a_runner_image_keeps_the_bases_command(served: Any, tmp_path: Path):
    served.put_base("team/python:3.11", {"usr/bin/python3": b"x"}, tmp_path / "base")
    recipe = Recipe(kind="runner", requirements=("fast",))
    built = build(served.reference("team/python:3.11"), recipe, cache=tmp_path / "cache", **OPTIONS)
    inner = json.loads(built.image.config)["config"]
    assert (inner.get("Entrypoint"), inner["Cmd"], built.packages) == (None, ["python3"], ("fast==1.0",))
    assert not [name for name in files_of(built.image.layers[1].path.read_bytes()) if "serving" in name]


def test_packages_are_those_of_the_images_platform(served: Any, tmp_path: Path):
    served.put_base("team/python:3.11", {"usr/bin/python3": b"x"}, tmp_path / "base")
    base = served.reference("team/python:3.11")
    one = build(base, Recipe(kind="runner", requirements=("fast",)), cache=tmp_path / "cache", **OPTIONS)
    raw = served.store.manifests["team/python"]["3.11"][0]
    config = json.loads(served.store.blobs["team/python"][json.loads(raw)["config"]["digest"]])
    arm = canonical({**config, "architecture": "arm64"})
    served.store.blobs["team/python"][digest_of(arm)] = arm
    document = json.loads(raw)
    document["config"] |= {"digest": digest_of(arm), "size": len(arm)}
    other = canonical(document)
    described = [("amd64", digest_of(raw)), ("arm64", digest_of(other))]
    items = [{"digest": digest, "platform": {"os": "linux", "architecture": name}} for name, digest in described]
    index = canonical({"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": items})
    known = served.store.manifests["team/python"]
    known[digest_of(other)] = (other, "application/vnd.oci.image.manifest.v1+json")
    known["many"] = (index, "application/vnd.oci.image.index.v1+json")

    base = served.reference("team/python:many")
    recipe = Recipe(kind="runner", requirements=("fast",), platform="linux/arm64")
    two = build(base, recipe, cache=tmp_path / "cache", **OPTIONS)
    assert json.loads(two.image.config)["architecture"] == "arm64"
    tags = [
        text_in(each.image.layers[0].path.read_bytes(), "opt/mlinfra/site/fast-1.0.dist-info/WHEEL")
        for each in (one, two)
    ]
    assert ["x86_64" in tags[0], "aarch64" in tags[1]] == [True, True]
    same = build(base, Recipe(kind="runner", requirements=("fast",)), cache=tmp_path / "cache", **OPTIONS)
    assert same.digest == one.digest
    with pytest.raises(CapabilityError, match="s390x"):
        build(base, Recipe(platform="linux/s390x"), cache=tmp_path / "cache", **OPTIONS)


def test_the_compiled_walk_goes_only_where_it_runs():
    def walks(platform: str) -> list[str]:
        return [entry.path for entry in kit_entries("serving", platform) if entry.path.endswith(".so")]

    assert machine_of(Path("/proc/self/exe").read_bytes()) in ("linux/amd64", "linux/arm64")
    assert machine_of(b"MZ") is None
    assert len(walks("linux/amd64")) + len(walks("linux/arm64")) <= 1


def test_a_base_that_cannot_be_used_is_refused(served: Any, tmp_path: Path):
    served.put_base("a:1", {"x": b""}, tmp_path / "base")
    base = served.reference("a:1")
    with pytest.raises(NotFound):
        build(served.reference("a:2"), Recipe(), cache=tmp_path / "cache", **OPTIONS)
    with pytest.raises(CapabilityError, match="another platform"):
        build(base, Recipe(platform="linux/arm64"), cache=tmp_path / "cache", **OPTIONS)
    content, kind = served.store.manifests["a"]["1"]
    served.store.manifests["a"]["zstd"] = (content.replace(b"tar+gzip", b"tar+zstd"), kind)
    with pytest.raises(CapabilityError, match="form of image"):
        build(served.reference("a:zstd"), Recipe(), cache=tmp_path / "cache", **OPTIONS)
    served.put_base("b:1", {"x": b""}, tmp_path / "base", Env=[])
    with pytest.raises(UsageError, match="--python"):
        build(served.reference("b:1"), Recipe(), cache=tmp_path / "cache", **OPTIONS)
    assert build(served.reference("b:1"), Recipe(python="3.11"), cache=tmp_path / "cache", **OPTIONS).python == "3.11"
    with pytest.raises(SpecError):
        build(base, Recipe(requirements=("absent==1",)), cache=tmp_path / "cache", **OPTIONS)


def test_a_sealed_model_needs_nothing_more(tmp_path: Path):
    document = {"version": 1, "format": "sklearn", "entry": "m", "method": "predict", "schema": None, "files": {}}
    document |= {"input": {}, "requirements": ["scikit-learn==1.8.0"], "python": "3.11", "sealed": {"file": "s"}}
    manifest = Manifest._from_fields(document)
    manifest.write(tmp_path)
    assert model_requirements(tmp_path) == ()
    assert model_requirements(tmp_path, "linux/s390x") == ("scikit-learn==1.8.0",)
