"""Specs and environments to requests of the host. Pure: reads no file, starts nothing."""
