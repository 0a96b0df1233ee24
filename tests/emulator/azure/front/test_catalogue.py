"""What the fidelity table tells of this emulator."""

from __future__ import annotations

from collections import Counter

from mlinfra.emulator.azure import AzureEmulator, catalogue
from mlinfra.emulator.azure.names import ML
from mlinfra.emulator.azure.wire.schemas import published


def test_every_operation_of_the_service_is_in_the_table_once():
    told = list(AzureEmulator.operations())
    counted = Counter((each.service, each.operation) for each in told)
    assert [pair for pair, count in counted.items() if count > 1] == []
    assert set(published()) <= {each.operation for each in told if each.service == ML}


def test_what_is_not_emulated_is_told_so():
    told = {each.operation: each.emulated for each in AzureEmulator.operations() if each.service == ML}
    assert told["Jobs_CreateOrUpdate"]
    assert not told["BatchEndpoints_CreateOrUpdate"]


def test_every_stage_has_its_time():
    assert all(seconds >= 0 for seconds in catalogue.delays().values())
