"""Artifact Registry, as far as images are named: what a reference means, and what stands for an image here."""
