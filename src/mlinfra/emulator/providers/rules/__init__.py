"""What the provider packages do not say of their resources: names, ids, computed outputs, replacements, look-ups."""

from mlinfra.emulator.providers.rules import aws, azure, gcp
from mlinfra.emulator.providers.rules.forms import Package

PACKAGES: dict[str, Package] = {each.name: each for each in (aws.PACKAGE, azure.PACKAGE, gcp.PACKAGE)}
