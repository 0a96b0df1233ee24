"""Which resources each platform's stack is made of, stage by stage, as trees that a review can read.

`MLINFRA_RECORD_EVIDENCE=1 pytest -n 0 tests/stacks/test_trees.py` writes the files in `trees/` anew. A line is a
resource: its name without the stack's, its type (a component's has no module), and what sets it apart.
"""

from __future__ import annotations

import inspect
import os
import re
from importlib import import_module
from pathlib import Path

import pytest

from mlinfra.infra import reference

FOLDER = Path(__file__).parent / "trees"
RECORDING = bool(os.environ.get("MLINFRA_RECORD_EVIDENCE"))
ANEW = "MLINFRA_RECORD_EVIDENCE=1 pytest -n 0 tests/stacks/test_trees.py writes the trees anew"
PLATFORMS = ("local", "aws", "azure", "gcp")
STAGES = ("dev", "staging", "prod")
ADOPTING = "prod-adopting"
# Keys that say how a resource is, or what the environment tells, but make none.
MAKE_NONE = {
    *("name", "stage", "emulated", "settings", "approval", "images", "tracking", "python_index", "proxy", "ca_bundle"),
    *("budget", "budget_start", "currency", "isolated", "dedicated_endpoints", "endpoint_auth"),
    *("permission_boundary", "role_path", "key_administrators", "warm_pool_seconds", "folder", "slots"),
}
_KIND = re.compile(r'super\(\).__init__\(\s*"(?P<kind>\w+:\w+)"')

pytestmark = pytest.mark.thorough


def tree(found, stack: str, parent: str = "", depth: int = 0) -> list[str]:
    """What has that parent, by name, and what is below it."""
    lines = []
    for each in sorted(found.children(parent), key=lambda each: (each.name, each.token)):
        words = (each.name.removeprefix(f"{stack}-"), kind(each.token), *marks(each))
        lines += ["  " * depth + "  ".join(words), *tree(found, stack, each.name, depth + 1)]
    return lines


def kind(token: str) -> str:
    """`s3.Bucket` of `aws:s3/bucket:Bucket`; the class alone of a component."""
    package, module, name = token.split(":")
    return name if package == "mlinfra" else f"{module.partition('/')[0]}.{name}"


def marks(each) -> list[str]:
    told = {
        "protected": each.protect,
        "retained": each.retained,
        f"adopts {each.adopted}": each.adopted,
        f"ignores {', '.join(each.ignored)}": each.ignored,
    }
    return [mark for mark, holds in told.items() if holds]


@pytest.mark.parametrize("stage", [*STAGES, ADOPTING])
@pytest.mark.parametrize("platform", PLATFORMS, indirect=True)
def test_exactly_these_resources_are_made(platform, stage):
    values = platform.while_adopting if stage == ADOPTING else platform.everything
    profile = stage.partition("-")[0]
    found = platform.up(profile, **values)
    lines = tree(found, f"{platform.name}-{profile}")
    file = FOLDER / f"{platform.name}-{stage}.txt"
    if RECORDING:
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join(lines) + "\n")
    assert len(lines) == len(found.all)  # nothing hangs beside the tree
    assert lines == file.read_text().splitlines(), ANEW


@pytest.mark.parametrize("platform", PLATFORMS, indirect=True)
def test_whatever_makes_resources_is_configured(platform):
    configured = {*platform.base, *platform.everything, "adopt", *(["network"] if platform.name == "aws" else [])}
    assert set(platform.model.model_fields) - configured - MAKE_NONE == set()
    assert set(platform.adopted) == set(platform.model.model_fields["adopt"].annotation.model_fields)


def test_there_is_no_tree_of_anything_else():
    assert {file.stem for file in FOLDER.iterdir()} == {
        f"{platform}-{stage}" for platform in PLATFORMS for stage in (*STAGES, ADOPTING)
    }


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_component_stands_in_a_tree(platform):
    texts = [(FOLDER / f"{platform}-{stage}.txt").read_text() for stage in STAGES]
    shown = {line.split()[1] for text in texts for line in text.splitlines()}
    wanted = {shown_as(platform, module, name) for module, name, _ in reference._components(platform)}
    assert wanted
    assert wanted <= shown


def shown_as(platform: str, module: str, name: str) -> str:
    """How a component's class is called in a tree; what is no component is made dynamically."""
    source = inspect.getsource(getattr(import_module(f"mlinfra.infra.{platform}.{module}"), name))
    named = _KIND.search(source)
    return named["kind"].partition(":")[2] if named else f"dynamic.{name}"
