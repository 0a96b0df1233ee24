"""Api-versions of the resource providers, as the vendor has published them.

Those of Azure Machine Learning are the ones whose models are kept here: the service has a few more.
"""

from __future__ import annotations

from mlinfra.emulator.azure.names import ML
from mlinfra.emulator.azure.wire.schemas import versions

VERSIONS: dict[str, tuple[str, ...]] = {
    ML: versions(),
    "ARM": ("2019-10-01", "2020-06-01", "2021-04-01", "2022-09-01", "2022-12-01", "2024-03-01", "2024-11-01"),
    "Microsoft.Authorization": ("2015-07-01", "2018-01-01-preview", "2020-04-01-preview", "2022-04-01"),
    "Microsoft.ManagedIdentity": ("2018-11-30", "2023-01-31", "2024-11-30"),
    "Microsoft.Storage": ("2019-06-01", "2021-09-01", "2022-09-01", "2023-01-01", "2023-05-01", "2024-01-01"),
    "Microsoft.KeyVault": ("2019-09-01", "2022-07-01", "2023-07-01"),
    "Microsoft.ContainerRegistry": ("2019-05-01", "2023-07-01", "2025-04-01"),
}


def supported(service: str, own: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The versions that an operation has: its own where it names any, else its provider's."""
    return own or VERSIONS.get(service, ())
