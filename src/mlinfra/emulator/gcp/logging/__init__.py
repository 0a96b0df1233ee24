"""Cloud Logging: entries that are written and found again by filters."""
