"""Engines: where frames live while they are worked on. DuckDB is the default and the only one imported by default."""
