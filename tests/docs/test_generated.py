"""The generated pages are what the code would generate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mlinfra.spec import reference_markdown

ROOT = Path(__file__).parents[2]


def test_the_spec_reference_is_up_to_date():
    assert (ROOT / "docs" / "spec.md").read_text() == reference_markdown(), "run make docs"


def test_the_hosts_schema_is_up_to_date():
    script = ROOT / "tools" / "schemas" / "local.py"
    child = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
