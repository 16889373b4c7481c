"""Engines: where frames live while they are worked on, and where estimators are fitted.

DuckDB is the default, and the only one imported by default. What an engine can do stands in `engine.py`; what a run
makes does not depend on which one it is.
"""
