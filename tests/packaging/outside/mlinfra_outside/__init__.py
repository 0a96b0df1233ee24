"""A stranger's platform: the machine at hand under another name, through the door that everybody uses."""

from mlinfra.contract.adapter import Adapter
from mlinfra_local import CAPABILITIES

ADAPTER = Adapter(
    platform="outside",
    contract=1,
    package="mlinfra_outside",
    capabilities=CAPABILITIES,
    title="a platform from outside",
    at_hand=True,
)
