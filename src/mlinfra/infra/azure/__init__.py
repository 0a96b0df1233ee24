"""Pulumi components for Azure, and `AzureStack`, which makes a whole environment of them."""
