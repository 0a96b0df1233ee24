"""Workspaces, datastores, and the assets that they hold: codes, environments, data, models."""
