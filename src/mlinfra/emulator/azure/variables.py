"""What points the vendor's clients at an emulator: variables, and the files that some of them name.

`MLClient` reads the clouds that there are from ARM_CLOUD_METADATA_URL and takes the one that AZUREML_CURRENT_CLOUD
names. azure-identity's EnvironmentCredential reads AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and
AZURE_AUTHORITY_HOST; it asks Microsoft whether it knows that authority unless it is made with
`disable_instance_discovery=True`, for which there is no variable. `MLClient` calls storage accounts as hosts below the
emulator's own, `<account>.blob.localhost`, which RFC 6761 says are this machine; where nothing resolves them, a line in
the hosts file does. Other clients of blob storage are told the account's address, `<address>/<account>`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.azure.discovery import CLOUD
from mlinfra.emulator.certificates import bundle

if TYPE_CHECKING:
    from mlinfra.emulator.azure.emulator import AzureEmulator


def variables(emulator: AzureEmulator) -> dict[str, str]:
    """The variables for the deployer of the environment seeded last, or of a made-up one. Writes the file named."""
    if "deployer" not in emulator.seeded.identities:
        emulator.environment()
    shown = emulator.credentials("deployer")
    authorities = str(bundle(emulator.ca_file, emulator.folder / "client" / "authorities.pem"))
    return {
        "ARM_CLOUD_METADATA_URL": f"{emulator.secure}/metadata/endpoints?api-version=2020-06-01",
        "AZUREML_CURRENT_CLOUD": CLOUD,
        "REGISTRY_DISCOVERY_ENDPOINT_URL": f"{emulator.secure}/",
        "AZURE_AUTHORITY_HOST": emulator.secure,
        "AZURE_TENANT_ID": emulator.place.tenant,
        "AZURE_CLIENT_ID": shown.principal.client_id,
        "AZURE_CLIENT_SECRET": shown.principal.secret,
        "AZURE_SUBSCRIPTION_ID": emulator.place.subscription,
        "AZUREML_ARM_SUBSCRIPTION": emulator.place.subscription,
        "AZUREML_ARM_RESOURCEGROUP": emulator.seeded.group,
        "AZUREML_ARM_WORKSPACE_NAME": emulator.seeded.workspace,
        "REQUESTS_CA_BUNDLE": authorities,
        "SSL_CERT_FILE": authorities,
        "MLINFRA_EMULATOR_AZURE": emulator.secure,
        "NO_PROXY": "127.0.0.1,localhost",
    }
