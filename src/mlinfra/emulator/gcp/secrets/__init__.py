"""Secret Manager, as far as jobs read secrets from it."""
