"""Resources of a stack in the emulated project: made, changed, read and removed as the provider's plugin does it."""
