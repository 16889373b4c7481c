"""The history is what was published: held against a dict of nights, over any order of nights."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartcart_pipeline.declaration.tables import SEGMENT_MEMBERSHIP
from smartcart_pipeline.engines.duckdb import BATCH, DuckDBEngine
from smartcart_pipeline.segmentation.history import (
    STAY,
    begin_history,
    extend_history,
    insert_night,
    membership_on,
    take_back_night,
)
from smartcart_pipeline.storage.lake import Lake
from smartcart_pipeline.storage.models import PublishedNight, Record
from smartcart_pipeline.storage.nights import add_night, flows_since_month
from smartcart_pipeline_tests.declared import BEHAVIOURAL

DAY = date(2014, 6, 29)
Published = dict[int, str]
# By day: the model in force, and who was published in which segment.
Nights = dict[date, tuple[str, Published]]
Stay = tuple[int, str, date, date | None, str]

assignments = st.dictionaries(st.integers(1, 5), st.sampled_from(["S01", "S02", "S03"]), max_size=5)
# Whether the night that it is compared with is still kept, and which export it is of, are drawn, too.
nights_in_any_order = st.lists(
    st.tuples(
        st.integers(0, 6).map(lambda days: DAY + timedelta(days)),
        st.sampled_from(["v1", "v2"]),
        assignments,
        st.booleans(),
        st.sampled_from("AB"),
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


class Home:
    """Publishes nights as runs do."""

    def __init__(self, engine: DuckDBEngine) -> None:
        self.engine, self.history, self.record = engine, None, Record()
        self.nights: Nights = {}
        self.published: dict[int, Published] = {}

    def publish(
        self, day: date, version: str, published: Published, is_kept: bool = True, content: str | None = None
    ) -> None:
        """Add a night; without a content, its export is like no other."""
        number = len(self.record.nights) + 1
        content = content or str(number)
        compared = self.record.compared_with(day, content)
        before = self.published[compared.night] if compared and is_kept else {}
        tonight = as_clusters(self.engine, published, before)
        self.history = self.engine.keep(add_night(self.history, self.record, tonight, day, version, compared))
        told = PublishedNight(number, f"run-{number}", day, version, False, "", content)
        self.record = replace(self.record, nights=(*self.record.nights, told))
        self.nights[day] = version, published
        self.published[number] = published

    def night_before(self, day: date) -> Published:
        """Who was published in which segment the night before a day."""
        before = self.record.before(day)
        return self.published[before.night] if before else {}


@given(nights_in_any_order)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_nights_gives_the_stays_of_a_walk_over_all_of_them(
    engine: DuckDBEngine, arriving: list[tuple[date, str, Published, bool, str]]
):
    home = Home(engine)
    for night in arriving:
        home.publish(*night)
    assert sorted(read(home.history)) == sorted(stays_of(home.nights))
    for day, (_, published) in home.nights.items():
        assert dict(read(membership_on(home.history, day))) == published


@given(nights_in_any_order)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_night_that_comes_last_is_the_same_by_the_fast_way_and_the_exact_one(
    engine: DuckDBEngine, arriving: list[tuple[date, str, Published, bool, str]]
):
    home = Home(engine)
    for night in arriving:
        home.publish(*night)
    latest = max(home.nights)
    for day, before in ((latest + timedelta(1), home.history), (latest, take_back_night(home.history, latest))):
        tonight = as_clusters(engine, {1: "S01", 9: "S02"}, home.night_before(day))
        fast = extend_history(before, tonight, day, "v3")
        exact = insert_night(home.history, tonight, day, "v3", None, None)
        assert sorted(read(fast)) == sorted(read(exact))


def test_a_customer_who_is_missing_from_an_export_and_comes_back_has_two_stays(engine: DuckDBEngine):
    home = Home(engine)
    for number, published in enumerate([{1: "S01", 2: "S02"}, {2: "S02"}, {1: "S01", 2: "S01"}]):
        home.publish(DAY + timedelta(number), f"v{number}", published)
    first, second, third = (DAY + timedelta(n) for n in range(3))
    assert sorted(read(home.history)) == [
        (1, "S01", first, second, "v0"),
        (1, "S01", third, None, "v2"),
        (2, "S01", third, None, "v2"),
        (2, "S02", first, third, "v0"),
    ]
    assert tuple(nw.to_native(home.history).columns) == STAY


def test_a_day_that_is_published_again_from_another_export_is_what_it_was_told_last(engine: DuckDBEngine):
    home = Home(engine)
    second = DAY + timedelta(1)
    home.publish(DAY, "v1", {1: "S01", 2: "S01", 3: "S02"})
    home.publish(second, "v2", {1: "S02", 2: "S02", 4: "S01"})
    # 1 is where the replaced night had put it, 2 is back, 3 had left and is there, 4 has left again.
    home.publish(second, "v3", {1: "S02", 2: "S01", 3: "S02"})
    assert sorted(read(home.history)) == [
        (1, "S01", DAY, second, "v1"),
        (1, "S02", second, None, "v3"),
        (2, "S01", DAY, None, "v1"),
        (3, "S02", DAY, None, "v1"),
    ]


def test_between_two_nights_the_earlier_one_still_holds(engine: DuckDBEngine):
    home = Home(engine)
    home.publish(DAY, "v1", {1: "S01"})
    home.publish(DAY + timedelta(7), "v1", {1: "S02"})
    assert read(membership_on(home.history, DAY + timedelta(6))) == [(1, "S01")]
    assert read(membership_on(home.history, DAY - timedelta(1))) == []


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
        rows = engine.write(extend_history(history, moved, DAY + timedelta(1), "v1"), SEGMENT_MEMBERSHIP, path).rows
        # Who came, and of those who were there the tenth that moved, began a stay.
        assert rows == 5 * BATCH + BATCH + len(range(BATCH + -BATCH % 10, 5 * BATCH, 10))
        written.add(path.read_bytes())
    assert len(written) == 1


def test_a_month_is_thirty_days(engine: DuckDBEngine, tmp_path: Path):
    table = pa.table({"customer_id": [1], "segment_id": ["S01"]})
    history = begin_history(nw.from_native(engine.connection.from_arrow(table)), DAY, "v1")
    lake = Lake(tmp_path, "run", engine, BEHAVIOURAL)

    def since(*days_ago: int) -> list[date]:
        tonight = DAY + timedelta(60)
        nights = [
            PublishedNight(number, f"run-{number}", tonight - timedelta(days), "v1", number == 1, "why")
            for number, days in enumerate(days_ago, start=1)
        ]
        return [tonight - row["since"] for row in flows_since_month(lake, Record(tuple(nights)), tonight, history)]

    assert since(29) == []
    assert since(31, 30, 29) == [timedelta(30)]
    assert since(31, 29) == [timedelta(31)]
