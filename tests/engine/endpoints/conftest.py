"""Worlds for tests, and the names that they need: a platform in memory with a clock of its own."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest

from mlinfra.engine import deploy as deploy_module

from .machine import EPOCH, Killed
from .memory_platform import NAME, Behaviour
from .worlds import World, served


@pytest.fixture
def registry(monkeypatch):
    """Every version is there, ready and approved."""
    calls = []

    def fake(session, spec):
        calls.append(spec.name)
        return {variant: served(each.model) for variant, each in spec.deployments.items()}

    monkeypatch.setattr(deploy_module, "served", fake)
    return calls


@pytest.fixture
def world(tmp_path, registry):
    return World(tmp_path)


@pytest.fixture
def new_world(tmp_path, registry):
    """Worlds, one after the other, for loops and properties."""
    numbers = itertools.count()
    return lambda **fields: World(tmp_path / str(next(numbers)), **fields)


@pytest.fixture
def kit():
    """Names that tests share."""
    return SimpleNamespace(Behaviour=Behaviour, Killed=Killed, NAME=NAME, EPOCH=EPOCH, served=served, replace=replace)
