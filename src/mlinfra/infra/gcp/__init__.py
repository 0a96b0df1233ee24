"""Pulumi components for Google Cloud, and `GcpStack`, which makes a whole environment of them."""
