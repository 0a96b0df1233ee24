"""Stand-in Pulumi providers: the real engine runs the stacks against them, with no account and no plugin.

Inputs are checked by what the installed provider packages say of them; what is created exists in the emulators, as far
as they know it, and in a private state of the providers' own.
"""

from mlinfra.emulator.providers.server import Providers

__all__ = ["Providers"]
