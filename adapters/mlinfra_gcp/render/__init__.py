"""Specs and environments to requests of Vertex AI. Pure: sends nothing."""
