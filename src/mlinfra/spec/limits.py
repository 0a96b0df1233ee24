"""Every bound of a spec in one table, with its reason."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

MAX_FILE_BYTES: Final = 512 * 1024  # what the YAML scanner reads in half a second at worst
MAX_NODES: Final = 10_000  # keys and values of one file, after aliases are expanded
MAX_DEPTH: Final = 64  # no vendor's request nests half as deep
MAX_INTEGER: Final = 2**63 - 1  # the vendors' wire formats carry 64 bits
MAX_PROBLEMS: Final = 50  # what one person reads at a time; the rest is counted

NAME_LENGTH: Final = 32  # Azure ML's names
ENDPOINT_NAME_LENGTH: Final = 24  # leaves room for a dash and six digits of the environment within Azure's 32
KEY_LENGTH: Final = 63  # Vertex AI's labels, SageMaker's channels
SCALAR_LENGTH: Final = 2_500  # SageMaker's hyperparameter values
COMMAND_LENGTH: Final = 32_768  # of a command in one text; more is a script

ENTRIES: Final = 1_000  # inputs, parameters, variables …; the manifest that carries them holds fewer still
TAGS: Final = 40  # the clouds allow 50 and more; the kit needs some for itself
DEPLOYMENTS: Final = 10  # production variants of a SageMaker endpoint
ENVIRONMENTS: Final = 50  # overlays, each of which is laid over the body and checked
NODES: Final = 100
ACCELERATORS: Final = 16  # on one machine
RETRIES: Final = 10
REPLICAS: Final = 50  # instances of an Azure ML deployment
STEPS: Final = 20


class Variables(NamedTuple):
    """How many variables the manifest may take, and how many characters each may hold."""

    most: int
    length: int


MANIFEST_VARIABLES: Final[Mapping[str, Variables]] = MappingProxyType(
    {  # SageMaker's limits, the tightest of the platforms
        "job": Variables(most=40, length=512),
        "endpoint": Variables(most=40, length=1_024),
        "batch": Variables(most=12, length=10_240),
    }
)
