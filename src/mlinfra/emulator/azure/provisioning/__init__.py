"""Resources of a stack in the emulated subscription: made, changed, read and removed by Resource Manager's calls."""
