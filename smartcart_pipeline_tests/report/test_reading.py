"""Which earlier night the report holds tonight against."""

from datetime import date, timedelta
from typing import Any

import pytest

from smartcart_pipeline.report.reading import night_before


def row(number: int, day: int, **told: Any) -> dict[str, Any]:
    return {"night": number, "as_of_date": date(2014, 6, 29) + timedelta(day), **told}


@pytest.mark.parametrize(
    ("nights", "before"),
    [
        ([row(1, 0)], None),
        ([row(1, 0), row(2, 1)], 1),
        # Published twice, the later one counts, although another day was published in between.
        ([row(1, 0), row(2, 1), row(3, 0), row(4, 2)], 2),
        ([row(1, 1), row(2, 0), row(3, 1), row(4, 2)], 3),
        ([row(1, 0), row(2, 1), row(3, 1), row(4, 2)], 3),
        # A night that comes late.
        ([row(1, 0), row(2, 2), row(3, 1)], 1),
        ([row(1, 2), row(2, 0)], None),
        # A night that takes the place of another; one that is made again from the same export does not.
        ([row(1, 0), row(2, 1), row(3, 1, replaces_night=2)], 2),
        ([row(1, 0), row(2, 1), row(3, 1, replaces_night=None)], 1),
    ],
)
def test_tonight_is_held_against_what_it_replaces_or_was_published_last_for_the_day_before(
    nights: list[dict[str, Any]], before: int | None
):
    found = night_before(nights[-1], nights)
    assert (found and found["night"]) == before
