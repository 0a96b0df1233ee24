"""Resources of a stack in the emulated account: made, changed, read and removed by AWS's own calls."""
