"""The history is what was published: held against a dict of nights, over any order of nights."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartcart_pipeline.engines.duckdb import BATCH, DuckDBEngine
from smartcart_pipeline.segmentation.history import (
    STAY,
    begin_history,
    extend_history,
    insert_night,
    membership_on,
    take_back_night,
)
from smartcart_pipeline.tables import SEGMENT_MEMBERSHIP

DAY = date(2014, 6, 29)
Published = dict[int, str]
# By day: the model in force, and who was published in which segment.
Nights = dict[date, tuple[str, Published]]
Stay = tuple[int, str, date, date | None, str]

assignments = st.dictionaries(st.integers(1, 5), st.sampled_from(["S01", "S02", "S03"]), max_size=5)
# Whether the night before is still kept is drawn, too.
nights_in_any_order = st.lists(
    st.tuples(
        st.integers(0, 6).map(lambda days: DAY + timedelta(days)),
        st.sampled_from(["v1", "v2"]),
        assignments,
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


def stays_of(nights: Nights) -> list[Stay]:
    """The naive history: walk over all nights for each customer."""
    stays: list[Stay] = []
    days = sorted(nights)
    for customer in sorted({customer for _, published in nights.values() for customer in published}):
        open_stay: tuple[str, date, str] | None = None
        for day in [*days, None]:
            version, published = nights[day] if day else ("", {})
            segment = published.get(customer)
            if open_stay and (day is None or segment != open_stay[0]):
                stays.append((customer, open_stay[0], open_stay[1], day, open_stay[2]))
                open_stay = None
            if day and segment and not open_stay:
                open_stay = segment, day, version
    return stays


def as_clusters(engine: DuckDBEngine, published: Published, before: Published) -> Any:
    customers, segments = pa.array(list(published), pa.int64()), pa.array(list(published.values()), pa.string())
    previous = pa.array([before.get(customer) for customer in published], pa.string())
    return engine.frame(pa.table({"customer_id": customers, "segment_id": segments, "previous_segment_id": previous}))


def read(frame: Any) -> list[Stay]:
    return [tuple(row.values()) for row in nw.to_native(frame).to_arrow_table().to_pylist()]


def night_before(nights: Nights, day: date) -> Published:
    """Who was published in which segment the night before a day."""
    earlier = max((other for other in nights if other < day), default=None)
    return nights[earlier][1] if earlier else {}


def publish(
    engine: DuckDBEngine,
    history: Any,
    nights: Nights,
    day: date,
    version: str,
    published: Published,
    is_kept: bool = True,
) -> Any:
    """Add a night as a run does: the fast way where no later one is there."""
    tonight = as_clusters(engine, published, night_before(nights, day) if is_kept else {})
    if history is None:
        return engine.keep(begin_history(tonight, day, version))
    if day == max(nights):
        history = take_back_night(history, day)
    if day >= max(nights):
        return engine.keep(extend_history(history, tonight, day, version))
    later = min((other for other in nights if other > day), default=None)
    return engine.keep(insert_night(history, tonight, day, version, later, nights[later][0] if later else None))


@given(nights_in_any_order)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_nights_gives_the_stays_of_a_walk_over_all_of_them(
    engine: DuckDBEngine, arriving: list[tuple[date, str, Published, bool]]
):
    history, nights = None, {}
    for day, version, published, is_kept in arriving:
        history = publish(engine, history, nights, day, version, published, is_kept)
        nights[day] = version, published
    assert sorted(read(history)) == sorted(stays_of(nights))
    for day, (_, published) in nights.items():
        assert dict(read(membership_on(history, day))) == published


@given(nights_in_any_order)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_night_that_comes_last_is_the_same_by_the_fast_way_and_the_exact_one(
    engine: DuckDBEngine, arriving: list[tuple[date, str, Published, bool]]
):
    history, nights = None, {}
    for day, version, published, is_kept in arriving:
        history = publish(engine, history, nights, day, version, published, is_kept)
        nights[day] = version, published
    latest = max(nights)
    for day, before in ((latest + timedelta(1), history), (latest, take_back_night(history, latest))):
        tonight = as_clusters(engine, {1: "S01", 9: "S02"}, night_before(nights, day))
        fast = extend_history(before, tonight, day, "v3")
        exact = insert_night(history, tonight, day, "v3", None, None)
        assert sorted(read(fast)) == sorted(read(exact))


def test_a_customer_who_is_missing_from_an_export_and_comes_back_has_two_stays(engine: DuckDBEngine):
    history, nights = None, {}
    for number, published in enumerate([{1: "S01", 2: "S02"}, {2: "S02"}, {1: "S01", 2: "S01"}]):
        day = DAY + timedelta(number)
        history = publish(engine, history, nights, day, f"v{number}", published)
        nights[day] = f"v{number}", published
    first, second, third = (DAY + timedelta(n) for n in range(3))
    assert sorted(read(history)) == [
        (1, "S01", first, second, "v0"),
        (1, "S01", third, None, "v2"),
        (2, "S01", third, None, "v2"),
        (2, "S02", first, third, "v0"),
    ]
    assert tuple(nw.to_native(history).columns) == STAY


def test_between_two_nights_the_earlier_one_still_holds(engine: DuckDBEngine):
    history = publish(engine, None, {}, DAY, "v1", {1: "S01"})
    history = publish(engine, history, {DAY: ("v1", {1: "S01"})}, DAY + timedelta(7), "v1", {1: "S02"})
    assert read(membership_on(history, DAY + timedelta(6))) == [(1, "S01")]
    assert read(membership_on(history, DAY - timedelta(1))) == []


def test_a_history_is_the_same_byte_for_byte_however_many_customers_there_are(engine: DuckDBEngine, tmp_path: Path):
    def clusters(first: int) -> Any:
        """So many customers in no order of ids, a tenth of which moved; those before `first` have left."""
        return nw.from_native(
            engine.connection.sql(
                "SELECT customer_id, 'S' || (customer_id + (customer_id % 10 = 0 AND before)::INT) % 4 AS segment_id, "
                "CASE WHEN before THEN 'S' || customer_id % 4 END AS previous_segment_id FROM "
                f"(SELECT range AS customer_id, {first} > 0 AND range < {5 * BATCH} AS before "
                f"FROM range({first}, {first + 5 * BATCH}) ORDER BY hash(range))"
            )
        )

    begun = tmp_path / "begun.parquet"
    engine.write(begin_history(clusters(0), DAY, "v1"), SEGMENT_MEMBERSHIP, begun)
    tonight = tmp_path / "tonight.parquet"
    engine.connection.execute(f"COPY ({engine.query(clusters(BATCH))}) TO '{tonight}' (ROW_GROUP_SIZE {BATCH})")
    history, moved = engine.scan(begun, "history"), engine.scan(tonight, "tonight")
    written = set()
    for number in range(4):
        path = tmp_path / f"{number}.parquet"
        rows = engine.write(extend_history(history, moved, DAY + timedelta(1), "v1"), SEGMENT_MEMBERSHIP, path)
        # Who came, and of those who were there the tenth that moved, began a stay.
        assert rows == 5 * BATCH + BATCH + len(range(BATCH + -BATCH % 10, 5 * BATCH, 10))
        written.add(path.read_bytes())
    assert len(written) == 1
