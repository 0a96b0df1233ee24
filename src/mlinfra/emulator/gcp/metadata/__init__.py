"""The metadata server: what a machine of Google Cloud tells those who run on it, and tokens of its service account."""
