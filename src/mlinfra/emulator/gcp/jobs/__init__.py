"""Vertex AI's custom jobs: created, run for real, watched, cancelled and deleted."""
