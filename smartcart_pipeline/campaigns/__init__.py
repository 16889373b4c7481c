"""Campaigns: what came of addressing people."""
