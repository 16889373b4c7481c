"""What the report finds where nothing has happened: no line refused, and no night before."""

from datetime import date
from typing import Any


def first_night(as_of: date, segments: int) -> dict[str, Any]:
    """The findings of a first night on whose data there is nothing to say.

    Args:
        as_of: Its as-of date.
        segments: How many segments its model has.

    Returns:
        Fields of `Findings`.
    """
    return {
        "rejected": [],
        "examples": [],
        "checks": [],
        "night": {
            "night": 1,
            "as_of_date": as_of,
            "model_version": "v1",
            "is_promoted": True,
            "customers": 1_000,
            "segments": segments,
            "verdict": "Promoted: it is the first model of this home.",
        },
        "before": None,
        "flows": [],
        "events": [],
        "decision": [{"criterion": "first_model", "role": "reason", "value": 1.0, "limit": 1.0, "passed": True}],
        "drift": [],
    }
