"""History: who was in which segment, and since when, as it was published.

A *stay* is the time that a customer was published in one segment without a break, over nights in the order of their
as-of dates: from the first such night (`valid_from`) up to the first night that says otherwise (`valid_to`; null while
there is none). So `valid_from <= day AND (valid_to IS NULL OR day < valid_to)` is what was published for a day.
"""

from datetime import date

import narwhals as nw
from narwhals.typing import FrameT

STAY = ("customer_id", "segment_id", "valid_from", "valid_to", "model_version")


def begin_history(tonight: FrameT, as_of: date, version: str) -> FrameT:
    """The history after its first night.

    Args:
        tonight: Customers with `customer_id` and the published `segment_id`.
        as_of: The night's as-of date.
        version: The model in force.

    Returns:
        One row a stay: `STAY`, with dates as Date.
    """
    return tonight.select("customer_id", "segment_id", *_stay(as_of, None, version))


def extend_history(history: FrameT, tonight: FrameT, as_of: date, version: str) -> FrameT:
    """Add a night that is later than all before.

    Nearly everybody stays, and `previous_segment_id` says so: only the few others are joined with their segments.

    Args:
        history: Stays so far; by the open ones, everybody is where the night before was published.
        tonight: Customers with `customer_id`, the published `segment_id`, and `previous_segment_id`, the one published
            the night before, null where that is not known.
        as_of: The night's as-of date.
        version: The model in force.

    Returns:
        Stays as before, those that ended tonight with their end; then the ones that began tonight.
    """
    was, end = nw.col("previous_segment_id"), nw.col("valid_to")
    open_stays = history.filter(end.is_null()).select("customer_id", "segment_id")
    moved = tonight.filter(was.is_null() | (was != nw.col("segment_id"))).select("customer_id", "segment_id")
    begun = moved.join(open_stays, on=["customer_id", "segment_id"], how="anti").sort("customer_id")
    gone = open_stays.join(tonight.select("customer_id"), on="customer_id", how="anti")
    leaving = nw.concat([begun.select("customer_id"), gone.select("customer_id")])
    ended = history.join(leaving.with_columns(nw.lit(True).alias("leaves")), on="customer_id", how="left").select(
        "customer_id",
        "segment_id",
        "valid_from",
        nw.when(end.is_null() & ~nw.col("leaves").is_null()).then(_day(as_of)).otherwise(end).alias("valid_to"),
        "model_version",
    )
    return nw.concat([ended, begun.select("customer_id", "segment_id", *_stay(as_of, None, version))])


def take_back_night(history: FrameT, as_of: date) -> FrameT:
    """The history without its latest night, so that the night can be published again.

    Args:
        history: Stays.
        as_of: The latest as-of date that has been published.

    Returns:
        Stays as they were: none began on that night, and none ended on it.
    """
    end = nw.col("valid_to")
    return history.filter(nw.col("valid_from") < _day(as_of)).with_columns(
        nw.when(end < _day(as_of)).then(end).alias("valid_to")
    )


def insert_night(
    history: FrameT,
    tonight: FrameT,
    as_of: date,
    version: str,
    next_as_of: date | None,
    next_version: str | None,
) -> FrameT:
    """Put a night into the history wherever it belongs, in place of what was published for that date before.

    Exact for late, repeated and out-of-order nights; for the latest, `extend_history` says the same, faster.

    Args:
        history: Stays so far.
        tonight: Customers with `customer_id` and the published `segment_id`.
        as_of: The night's as-of date.
        version: The model in force.
        next_as_of: The first later as-of date that has been published; None if there is none.
        next_version: The model that was in force there.

    Returns:
        Stays, in order of customer and beginning.
    """
    start, end = nw.col("valid_from"), nw.col("valid_to")
    outlasts = end.is_null() | (end > _day(as_of))
    pieces = [
        history.filter(start < _day(as_of)).with_columns(
            nw.when(outlasts).then(_day(as_of)).otherwise(end).alias("valid_to")
        ),
        tonight.select("customer_id", "segment_id", *_stay(as_of, next_as_of, version)),
    ]
    if next_as_of is not None:
        begun_before = start < _day(next_as_of)
        pieces.append(
            history.filter(end.is_null() | (end > _day(next_as_of))).with_columns(
                nw.when(begun_before).then(_day(next_as_of)).otherwise(start).alias("valid_from"),
                nw.when(begun_before)
                .then(nw.lit(next_version))
                .otherwise(nw.col("model_version"))
                .alias("model_version"),
            )
        )
    return _join_stays(nw.concat([piece.select(*STAY) for piece in pieces]))


def _join_stays(pieces: FrameT) -> FrameT:
    """Stays of one customer in one segment that touch are one stay."""
    before = pieces.with_columns(
        *[
            nw.col(name).shift(1).over("customer_id", order_by="valid_from").alias(f"{name}_before")
            for name in ("segment_id", "valid_to")
        ]
    )
    same = (nw.col("segment_id_before") == nw.col("segment_id")) & (nw.col("valid_to_before") == nw.col("valid_from"))
    marked = before.with_columns(
        nw.when(same).then(nw.lit(0)).otherwise(nw.lit(1)).alias("begins"),
    ).with_columns(nw.col("begins").cum_sum().over("customer_id", order_by="valid_from").alias("stay"))
    return (
        marked.with_columns(
            nw.when(nw.col("begins") == 1).then(nw.col("model_version")).alias("first_version"),
            nw.when(nw.col("valid_to").is_null()).then(nw.lit(1)).otherwise(nw.lit(0)).alias("is_open"),
        )
        .group_by("customer_id", "segment_id", "stay")
        .agg(
            nw.col("valid_from").min(),
            nw.col("valid_to").max(),
            nw.col("first_version").max().alias("model_version"),
            nw.col("is_open").max(),
        )
        .with_columns(nw.when(nw.col("is_open") == 0).then(nw.col("valid_to")).alias("valid_to"))
        .select(*STAY)
        .sort("customer_id", "valid_from")
    )


def membership_on(history: FrameT, day: date) -> FrameT:
    """Who was in which segment, as published for a day.

    Args:
        history: Stays.
        day: Any day.

    Returns:
        `customer_id` and `segment_id`.
    """
    start, end = nw.col("valid_from"), nw.col("valid_to")
    return history.filter((start <= _day(day)) & (end.is_null() | (end > _day(day)))).select(
        "customer_id", "segment_id"
    )


def _stay(start: date, end: date | None, version: str) -> list[nw.Expr]:
    return [
        _day(start).alias("valid_from"),
        (nw.lit(None, nw.Date) if end is None else _day(end)).alias("valid_to"),
        nw.lit(version).alias("model_version"),
    ]


def _day(day: date) -> nw.Expr:
    return nw.lit(day, nw.Date)
