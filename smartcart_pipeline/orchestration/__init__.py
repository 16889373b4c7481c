"""Dagster's room: assets, checks, settings, when a night runs, and the night itself."""
