"""From HTTP to an operation and back: protocols, validation, refusals, and the way to moto."""
