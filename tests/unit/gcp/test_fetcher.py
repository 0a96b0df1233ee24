"""The few lines that travel with every job: they fetch the bundle as the job's identity, compare it, and become it."""

from __future__ import annotations

import ast
import hashlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mlinfra_gcp.render.containers import fetcher_source

if TYPE_CHECKING:
    from mlinfra.emulator.gcp import GcpEmulator
    from mlinfra_gcp.client import GcpClient

BUNDLE = b"import sys\nprint('became', sys.argv[1:])\n"


def run(emulator: GcpEmulator, uri: str, digest: str, *more: str) -> subprocess.CompletedProcess[str]:
    metadata = emulator.url.removeprefix("http://")
    variables = {"STORAGE_EMULATOR_HOST": emulator.url, "GCE_METADATA_HOST": metadata}
    command = [sys.executable, "-c", fetcher_source(), uri, digest, *more]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def bundle(client: GcpClient) -> str:
    store = client.store()
    store.put("code/a b/bundle.pyz", BUNDLE)
    return store.uri("code/a b/bundle.pyz")


def test_it_becomes_the_bundle_and_hands_arguments_on(emulator: GcpEmulator, bundle: str):
    done = run(emulator, bundle, hashlib.sha256(BUNDLE).hexdigest(), "--depth=8")
    assert done.stdout.strip() == "became ['--depth=8']", done.stderr


def test_a_bundle_that_is_not_the_one_submitted_is_not_run(emulator: GcpEmulator, bundle: str):
    done = run(emulator, bundle, "0" * 64)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not what was submitted" in done.stderr


def test_a_bundle_that_is_not_there_is_said_to_be(emulator: GcpEmulator, bundle: str):
    done = run(emulator, f"{bundle}x", "0" * 64)
    assert done.returncode == 1
    assert "cannot be fetched" in done.stderr
    assert "404" in done.stderr


def test_it_needs_nothing_but_the_standard_library_of_python_3_9():
    tree = ast.parse(fetcher_source(), feature_version=(3, 9))
    imported = {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    assert imported <= set(sys.stdlib_module_names)
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
