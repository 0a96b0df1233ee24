"""An emulated stack never asks the real cloud, not even when the plain engine runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlinfra.emulator.providers.mocks import run
from mlinfra.errors import WrongAccount
from mlinfra.infra.configuration import CloudConfiguration, from_stack
from mlinfra.infra.local.configuration import LocalConfiguration

if TYPE_CHECKING:
    from mlinfra.infra.configuration import Configuration

ATTACHED = "PULUMI_DEBUG_PROVIDERS"


def read_by_a_program(model: type[Configuration], **config: str) -> Configuration:
    found: list[Configuration] = []
    run(lambda: found.append(from_stack(model)), config={f"mlinfra:{key}": each for key, each in config.items()})
    return found[0]


def of_a_cloud(emulated: str) -> Configuration:
    return read_by_a_program(
        CloudConfiguration, platform="aws", region="eu-west-1", account="123456789012", emulated=emulated
    )


@pytest.mark.parametrize("attached", ["", "gcp:4711", "aws-native:4711"])
def test_without_its_stand_in_it_is_refused(monkeypatch: pytest.MonkeyPatch, attached: str):
    monkeypatch.setenv(ATTACHED, attached)
    with pytest.raises(WrongAccount) as caught:
        of_a_cloud("true")
    assert caught.value.exit_code == 3
    assert "aws:PORT" in str(caught.value)
    assert "mlinfra env up" in str(caught.value)


def test_with_its_stand_in_it_is_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(ATTACHED, "gcp:4711,aws:4712")
    assert of_a_cloud("true").emulated


def test_a_real_one_and_the_machine_at_hand_need_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(ATTACHED, raising=False)
    assert not of_a_cloud("false").emulated
    assert read_by_a_program(LocalConfiguration, platform="local", emulated="true").emulated
