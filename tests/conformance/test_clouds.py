"""`mlinfra demo --clouds`: which clouds it finds, and the whole story on each of them."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.platforms import PLATFORMS

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[2] / "examples" / "credit"


@pytest.fixture
def clouds(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.setenv("MLINFRA_HOME", os.environ["MLINFRA_HOME"])  # which a story changes
    yield importlib.import_module("clouds")
    for name in ("clouds", "demo"):
        sys.modules.pop(name, None)


def test_every_platform_with_an_adapter_and_an_emulator_has_its_turn(
    clouds: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert clouds.clouds() == list(PLATFORMS)
    monkeypatch.setattr(clouds.adapters, "platforms", lambda: ["aws", "local"])
    assert clouds.clouds() == ["aws"]


def test_the_table_tells_what_is_not_as_on_the_machine_at_hand(clouds: Any, capsys: pytest.CaptureFixture[str]) -> None:
    measure = clouds.Story("local", auc=0.84, predictions=[0.1, 0.2], rejections=[{"column": "Age"}])
    other = clouds.Story("aws", auc=0.84, predictions=[0.1, 0.3], rejections=[{"column": "Age"}], requests=9)
    assert measure.is_like(measure)
    assert not other.is_like(measure)
    assert not clouds.Story("aws", left=["an endpoint"]).is_like(clouds.Story("local"))
    clouds.table([clouds.COLUMNS, other.row(measure)])
    assert "aws       0.8400  2, 1 as on local  1           0 of 9" in capsys.readouterr().out


def test_a_surprise_ends_one_platforms_story_and_not_the_others(clouds: Any) -> None:
    assert clouds.tried(lambda: clouds.demo.check("the answer", 41, 42)) == "the answer: 41, expected: 42"
    assert clouds.tried(lambda: None) == ""


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_whole_story_on_a_cloud_is_the_one_of_the_machine_at_hand(clouds: Any, platform: str) -> None:
    stories = []
    for each in ("local", platform):
        with clouds.workshop() as (project, state):
            stories.append(clouds.story(each, project, state))
    here, there = stories
    assert (here.cause, there.cause) == ("", "")
    assert there.is_like(here), there.row(here)
    assert (len(there.predictions), len(there.rejections), there.left) == (891, 4, [])
    assert there.replayed > 0
    assert there.requests > 100
