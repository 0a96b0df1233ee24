"""Requests of Azure as data. Pure; imports no SDK."""
