"""Runs the Pulumi engine for `mlinfra env`: where state lies, who holds its lock, what a killed run left behind."""
