"""Specs and environments to requests of SageMaker. Pure: reads no file, sends nothing."""
