"""Segments are matched with those of old by the customers they share, and what became of each is told."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.identity import match_segments, name_segment, overlap_customers
from smartcart_pipeline_tests.conftest import Frames, to_pandas

OLD = ("S01", "S02", "S03")


def overlaps(table: list[list[int]]) -> Rows:
    """Rows of `overlap_customers` from a table of old segments by new clusters."""
    return [
        {"segment_id": OLD[old], "cluster": new, "customers": count}
        for old, row in enumerate(table)
        for new, count in enumerate(row)
        if count
    ]


def test_overlaps_count_every_combination_of_labels(as_frame: Frames):
    frame = pd.DataFrame({"old": ["S01", "S01", "S02", None], "new": [1, 1, 0, 0]})
    counted = to_pandas(overlap_customers(as_frame(frame), "old", "new"))
    found = {(a if isinstance(a, str) else None, b): n for a, b, n in counted.itertuples(index=False)}
    assert found == {("S01", 1): 2, ("S02", 0): 1, (None, 0): 1}


def test_ids_follow_their_customers_whatever_the_clusters_numbers():
    for order in permutations(range(3)):
        table = np.diag([100, 80, 60])[:, list(order)] + 3
        matching = match_segments(overlaps(table.tolist()), OLD, 3, 3)
        assert matching.segment_ids == tuple(OLD[old] for old in order)
        assert matching.named == 3
        assert {row["event"] for row in matching.events} == {"continued"}


def test_the_assignment_keeps_the_most_customers_in_their_segment():
    # Greedily S01 would take the first cluster, and S02 would lose all of its customers.
    table = [[50, 45, 0], [48, 0, 0], [0, 0, 90]]
    matching = match_segments(overlaps(table), OLD, 3, 3)
    assert matching.segment_ids == ("S02", "S01", "S03")


def test_no_matching_keeps_more_customers():
    random = np.random.default_rng(1)
    for _ in range(20):
        table = random.integers(1, 100, (3, 3))
        matching = match_segments(overlaps((table + 1_000 * np.eye(3, dtype=int)).tolist()), OLD, 3, 3)
        kept = sum(table[OLD.index(name), new] + 1_000 for new, name in enumerate(matching.segment_ids))
        best = max(
            sum(table[old, new] + 1_000 * (old == new) for new, old in enumerate(order))
            for order in permutations(range(3))
        )
        assert kept == best


KEPT = {"S01": ("continued", None), "S02": ("continued", None)}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ([[100, 0], [0, 80]], KEPT),
        ([[60, 40, 0], [0, 0, 80]], KEPT | {"S04": ("split", "S01")}),
        ([[60], [40]], {"S01": ("continued", None), "S02": ("merged", "S01")}),
        ([[60, 0], [0, 40], [10, 9]], KEPT | {"S03": ("merged", "S01")}),
        ([[60, 0, 4], [0, 40, 3]], KEPT | {"S04": ("split", "S01")}),
        ([[60, 0, 0], [0, 40, 0]], KEPT | {"S04": ("born", None)}),
        ([[90, 2, 0], [0, 40, 0], [0, 0, 0]], KEPT | {"S03": ("retired", None), "S04": ("born", None)}),
    ],
    ids=["continued", "split", "merged", "three into two", "of two parts", "born of newcomers", "retired"],
)
def test_what_became_of_each_segment(table: list[list[int]], told: dict[str, tuple[str, str | None]]):
    events = match_segments(overlaps(table), OLD[: len(table)], len(table[0]), 3).events
    assert {row["segment_id"]: (row["event"], row["other_segment_id"]) for row in events} == told
    assert len(events) == len(told)


def test_an_event_says_how_large_the_overlap_is():
    [continued, split] = match_segments(overlaps([[60, 40]]), OLD[:1], 2, 1).events
    assert (continued["shared_customers"], continued["share_of_old"], continued["share_of_new"]) == (60, 0.6, 1.0)
    assert (split["shared_customers"], split["share_of_old"], split["share_of_new"]) == (40, 0.4, 1.0)


def test_a_segment_of_newcomers_is_born_whatever_the_few_others_in_it_were():
    newcomers = {"segment_id": None, "cluster": 1, "customers": 180}
    [continued, born] = match_segments([*overlaps([[600, 12]]), newcomers], OLD[:1], 2, 1).events
    assert (born["segment_id"], born["event"], born["other_segment_id"]) == ("S02", "born", None)
    assert (continued["share_of_old"], continued["share_of_new"]) == (600 / 612, 1.0)


def test_an_id_is_never_given_twice():
    # S04 and S05 were given before and are gone; the next is S06.
    matching = match_segments(overlaps([[50, 0]]), OLD[:1], 2, 5)
    assert matching.segment_ids == ("S01", "S06")
    assert matching.named == 6


def test_who_shares_too_little_is_not_the_same():
    matching = match_segments(overlaps([[20, 100], [0, 0]]), OLD[:2], 2, 2)
    assert matching.segment_ids == ("S03", "S01")


@pytest.mark.parametrize(
    ("shared", "ids"),
    [(30, ("S01", "S02")), (29, ("S03", "S02"))],
    ids=["three tenths of either", "one customer less"],
)
def test_who_shares_three_tenths_is_the_same(shared: int, ids: tuple[str, ...]):
    # In S01, the first cluster or both there are a hundred customers.
    matching = match_segments(overlaps([[shared, 100 - shared], [0, 200]]), OLD[:2], 2, 2)
    assert matching.segment_ids == ids


def test_two_segments_that_meet_in_one_cluster_keep_their_ids_above_three_tenths():
    assert match_segments(overlaps([[35, 75], [0, 100]]), OLD[:2], 2, 2).segment_ids == ("S01", "S02")


@pytest.mark.parametrize(("shared", "event"), [(50, "split"), (49, "born")])
def test_a_cluster_stems_from_a_segment_with_half_of_its_customers(shared: int, event: str):
    newcomers = {"segment_id": None, "cluster": 1, "customers": 100 - shared}
    [_, told] = match_segments([*overlaps([[600, shared]]), newcomers], OLD[:1], 2, 1).events
    assert (told["segment_id"], told["event"]) == ("S02", event)


@pytest.mark.parametrize(("shared", "event"), [(50, "merged"), (49, "retired")])
def test_a_segment_went_into_a_cluster_with_half_of_its_customers(shared: int, event: str):
    # It is paired with the third cluster, of which it is too small a part to be the same.
    table = [[900, 0, 800], [0, 900, 0], [shared, 96 - shared, 4]]
    [told] = [row for row in match_segments(overlaps(table), OLD, 3, 3).events if row["segment_id"] == "S03"]
    assert told["event"] == event


def test_a_model_that_was_in_force_before_keeps_its_ids():
    matching = match_segments(overlaps([[90, 0], [0, 50], [5, 5]]), OLD, 2, 7, keeps=("S01", "S05"))
    assert matching.segment_ids == ("S01", "S05")
    assert matching.named == 7
    assert [(row["segment_id"], row["event"]) for row in matching.events] == [
        ("S01", "continued"),
        ("S02", "merged"),
        ("S03", "merged"),
        ("S05", "split"),
    ]


def test_the_first_segments_are_named_in_order():
    assert match_segments([], (), 4, 0).segment_ids == ("S01", "S02", "S03", "S04")
    assert name_segment(100) == "S100"
