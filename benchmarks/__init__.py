"""Benchmarks: each runs the pipeline and a named peer in one go and prints the ratio."""
