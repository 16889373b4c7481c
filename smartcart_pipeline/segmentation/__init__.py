"""The verbs of the segmentation: frames and numbers in, frames and numbers out.

Nothing here touches a file, a clock, the environment, Dagster or a particular engine. Row-wise work is written as
narwhals expressions, so the same function serves a pandas frame in a test and a streamed DuckDB relation in a run.
Small results (a scaler, a table of candidates) are plain rows: lists of dicts.
"""

from typing import Any

Rows = list[dict[str, Any]]
