"""What points the vendor's clients at an emulator: variables, and the files that some of them name.

No variable names Vertex AI's address to the vendor's clients: `CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM` does for
its command line alone. Python is told by a documented argument, `aiplatform.init(api_endpoint=…)` or
`client_options={"api_endpoint": …}`; the address is in MLINFRA_EMULATOR_API_ENDPOINT. The storage client shows no
credentials to an address in STORAGE_EMULATOR_HOST, which is therefore a port where such requests are the deployer's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.certificates import bundle

if TYPE_CHECKING:
    from mlinfra.emulator.gcp.emulator import GcpEmulator


def variables(emulator: GcpEmulator) -> dict[str, str]:
    """The variables for the deployer of the environment seeded last, or of a made-up one. Writes the files named."""
    if "deployer" not in emulator.seeded.identities:
        emulator.environment()
    credentials = emulator.credentials("deployer")
    authorities = str(bundle(emulator.ca_file, emulator.folder / "client" / "authorities.pem"))
    found = {
        **_machine(emulator, credentials.principal),
        "GOOGLE_APPLICATION_CREDENTIALS": str(credentials.file),
        "GOOGLE_CLOUD_PROJECT": emulator.project,
        "GOOGLE_CLOUD_REGION": emulator.region,
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(emulator.ca_file),
        "REQUESTS_CA_BUNDLE": authorities,
        "SSL_CERT_FILE": authorities,
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM": f"https://{emulator.secure}/",
        "MLINFRA_EMULATOR_API_ENDPOINT": emulator.secure,
        "MLINFRA_EMULATOR_STAGING_BUCKET": _bucket(emulator),
        "NO_PROXY": "127.0.0.1,localhost",
    }
    return {name: value for name, value in found.items() if value}


def _machine(emulator: GcpEmulator, principal: str) -> dict[str, str]:
    """What a machine that runs as somebody is told, but for its universe: the credentials here are of the vendor's."""
    told = emulator.metadata.variables(principal)
    return {name: value for name, value in told.items() if name != "GOOGLE_CLOUD_UNIVERSE_DOMAIN"}


def _bucket(emulator: GcpEmulator) -> str:
    return f"gs://{emulator.seeded.default_bucket}" if emulator.seeded.default_bucket else ""
