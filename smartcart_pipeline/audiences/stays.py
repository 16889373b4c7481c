"""Stays: who was in which group of which audience, and since when, night after night.

As in the history of segments: a stay goes from the first night that has the customer in a group of the audience
(`valid_from`) up to the first night that says otherwise (`valid_to`; null while there is none).
"""

from datetime import date

from smartcart_pipeline.audiences.choosing import Chosen
from smartcart_pipeline.audiences.groups import GROUPS
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.engines.sql import literal

STAY = f"audience, {KEY}, member_group, valid_from, valid_to, segment_id, worth"
# What a stay is of.
WHOSE = f"audience, {KEY}, member_group"


def add_night(chosen: Chosen, so_far: str | None, as_of: date, next_as_of: date | None, is_repeated: bool) -> str:
    """Add a night to the stays.

    Args:
        chosen: Who is in which audience that night.
        so_far: Stays as SQL that may follow FROM; None before the first night.
        as_of: The night's as-of date.
        next_as_of: The first later as-of date that has been published; None if there is none.
        is_repeated: Whether something has been published for the night's own date, which this takes the place of.

    Returns:
        One SELECT, in the columns of `audience_stays`.
    """
    # In one order, so that the same night is the same to the last byte.
    return f"FROM ({_add(chosen, so_far, as_of, next_as_of, is_repeated)}) ORDER BY audience, {KEY}, valid_from"


def _add(chosen: Chosen, so_far: str | None, as_of: date, next_as_of: date | None, is_repeated: bool) -> str:
    if so_far is None:
        return _tonight(chosen, as_of, next_as_of)
    if next_as_of is not None:
        return _insert(chosen, so_far, as_of, next_as_of)
    if is_repeated:
        so_far = (
            f"(SELECT * REPLACE (CASE WHEN valid_to < {_day(as_of)} THEN valid_to END AS valid_to) FROM {so_far} "
            f"WHERE valid_from < {_day(as_of)})"
        )
    return _extend(chosen, so_far, as_of)


def _extend(chosen: Chosen, so_far: str, as_of: date) -> str:
    """Nearly everybody stays: one join finds who has left, and one for each audience who has entered."""
    now = " ".join(f"WHEN {literal(each.name)} THEN now.{chosen.numbered(each.name)}" for each in chosen.kept)
    group = " ".join(f"WHEN {literal(name)} THEN {code}" for code, name in enumerate(GROUPS))
    stays_on = f"CASE was.audience {now} END IS NOT DISTINCT FROM CASE was.member_group {group} END" if now else "false"
    ended = f"CASE WHEN was.valid_to IS NULL AND NOT ({stays_on}) THEN {_day(as_of)} ELSE was.valid_to END"
    before = (
        f"SELECT was.* REPLACE ({ended} AS valid_to) FROM {so_far} AS was "
        f"LEFT JOIN {chosen.table} AS now ON now.{KEY} = was.{KEY}"
    )
    begun = [
        f"SELECT members.* FROM ({members}) AS members ANTI JOIN (SELECT {KEY}, member_group FROM {so_far} "
        f"WHERE valid_to IS NULL AND audience = {literal(name)}) AS was USING ({KEY}, member_group)"
        for name, members in _members(chosen, as_of, None).items()
    ]
    return " UNION ALL ".join(f"SELECT {STAY} FROM ({part})" for part in (before, *begun))


def _insert(chosen: Chosen, so_far: str, as_of: date, next_as_of: date) -> str:
    """Put a night that comes late where it belongs, in place of what was published for that date before."""
    day, following = _day(as_of), _day(next_as_of)
    until, since = f"least(coalesce(valid_to, {day}), {day})", f"greatest(valid_from, {following})"
    lasts = f"valid_to IS NULL OR valid_to > {following}"
    pieces = [
        f"SELECT * REPLACE ({until} AS valid_to) FROM {so_far} WHERE valid_from < {day}",
        _tonight(chosen, as_of, next_as_of),
        f"SELECT * REPLACE ({since} AS valid_from) FROM {so_far} WHERE {lasts}",
    ]
    joined = " UNION ALL ".join(f"SELECT {STAY} FROM ({piece})" for piece in pieces)
    window = f"PARTITION BY {WHOSE} ORDER BY valid_from"
    # Stays of one customer in one group that touch are one stay.
    marked = (
        f"SELECT *, CASE WHEN lag(valid_to) OVER ({window}) = valid_from THEN 0 ELSE 1 END AS begins FROM ({joined})"
    )
    numbered = f"SELECT *, sum(begins) OVER ({window}) AS stay FROM ({marked})"
    return (
        f"SELECT {WHOSE}, min(valid_from) AS valid_from, "
        "CASE WHEN count(*) = count(valid_to) THEN max(valid_to) END AS valid_to, "
        "arg_min(segment_id, valid_from) AS segment_id, arg_min(worth, valid_from) AS worth "
        f"FROM ({numbered}) GROUP BY {WHOSE}, stay"
    )


def _tonight(chosen: Chosen, as_of: date, until: date | None) -> str:
    dated = f"{_day(as_of)} AS valid_from, NULL::DATE AS valid_to"
    nobody = f"SELECT '' AS audience, {KEY}, '' AS member_group, {dated}, segment_id, worth FROM {chosen.table} LIMIT 0"
    return " UNION ALL ".join(_members(chosen, as_of, until).values()) or nobody


def _members(chosen: Chosen, as_of: date, until: date | None) -> dict[str, str]:
    dated = f"{_day(as_of)} AS valid_from, {'NULL::DATE' if until is None else _day(until)} AS valid_to"
    return {
        each.name: f"SELECT {WHOSE}, {dated}, segment_id, worth FROM ({chosen.members(each)})" for each in chosen.kept
    }


def _day(day: date) -> str:
    return f"DATE {literal(day.isoformat())}"
