"""The reference of stacks is what the code says."""

from __future__ import annotations

from pathlib import Path

from mlinfra.infra.configuration import CloudConfiguration, Configuration
from mlinfra.infra.reference import markdown
from mlinfra.infra.stages import Profile

PAGE = Path(__file__).parents[2] / "docs" / "stacks-reference.md"


def test_the_page_is_the_generated_one():
    assert PAGE.read_text() == markdown(), "run `make docs`"


def test_every_key_and_every_setting_is_in_it():
    text = markdown()
    keys = {*Configuration.model_fields, *CloudConfiguration.model_fields} - {"name"}
    assert all(f"`mlinfra:{key}`" in text for key in keys)
    assert all(f"| `{name}` |" in text for name in Profile.model_fields)
    assert "mlinfra.infra.local.stack.LocalStack" in text
