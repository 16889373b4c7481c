"""A customer's group is the same for ever, on every machine, and as likely for everybody."""

import duckdb
import numpy as np
import pytest
from scipy import stats

from smartcart_pipeline.audiences.groups import BUCKETS, EVERY, GROUPS, bucket, bucket_of, group


def test_buckets_are_those_of_all_nights_to_come():
    """Whoever changes this sends offers to people who were held out, and ends every test that is under way."""
    assert [bucket_of("smartcart", "win_back", customer) for customer in (1, 2, 5524, "C-8628")] == [
        9851,
        9391,
        9998,
        2023,
    ]


@pytest.mark.parametrize("salt", ["smartcart", "it's | \\"])
def test_duckdb_reckons_the_same(salt: str):
    customers = ["0", "5524", "-1", "9223372036854775807", "C-8628", "Zoë's | id", ""]
    with duckdb.connect() as connection:
        for customer in customers:
            asked = f"SELECT {bucket(salt, 'a', '$1')}"
            [(found,)] = connection.execute(asked, [customer]).fetchall()
            assert found == bucket_of(salt, "a", customer)


def test_every_bucket_is_as_likely_and_no_two_audiences_go_together():
    one, other, every = (
        np.array([bucket_of("s", name, customer) for customer in range(40_000)]) for name in ("a", "b", EVERY)
    )
    for found in (one, other, every):
        counts = np.bincount(found // 100, minlength=BUCKETS // 100)
        assert stats.chisquare(counts).pvalue > 0.001
    for first, second in ((one, other), (one, every)):
        table = np.histogram2d(first, second, bins=5)[0]
        assert stats.chi2_contingency(table).pvalue > 0.001


@pytest.mark.parametrize(("holdout", "control"), [(0.1, 0.0), (0.0, 0.05), (0.25, 0.1), (0.0, 0.0)])
def test_groups_have_the_shares_that_were_asked_for(holdout: float, control: float):
    with duckdb.connect() as connection:
        counts = dict(
            connection.execute(
                f"SELECT {group('s', 'a', 'range', holdout, control)} AS g, count(*) FROM range(50_000) GROUP BY g"
            ).fetchall()
        )
    shares = [counts.get(GROUPS.index(name), 0) / 50_000 for name in ("control", "held_out", "treated")]
    expected = [control, (1 - control) * holdout, (1 - control) * (1 - holdout)]
    assert shares == pytest.approx(expected, abs=0.006)
