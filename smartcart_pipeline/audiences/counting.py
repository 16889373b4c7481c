"""Counting: how large audiences are, who of them is held out, and how many customers they share."""

from itertools import combinations
from math import erfc, sqrt

from smartcart_pipeline.audiences.audience import Audience, as_row
from smartcart_pipeline.audiences.choosing import Chosen
from smartcart_pipeline.audiences.groups import BUCKETS, GROUPS, HELD_OUT, TREATED
from smartcart_pipeline.segmentation import Rows


def count_segments(chosen: Chosen) -> Rows:
    """How many members of each audience are of which segment.

    Args:
        chosen: Who is in which audience.

    Returns:
        Rows of `audience_segments`.
    """
    counted: dict[tuple[str, str], dict[str, int]] = {}
    sizes = _count_whole(chosen)
    for each in chosen.audiences.listed:
        if each.is_segment:
            counted[each.name, each.name] = dict.fromkeys(GROUPS, 0) | {TREATED: sizes[each.name]}
            continue
        number = chosen.numbered(each.name)
        found = chosen.connection.execute(
            f"SELECT segment_id, {number}, sum(customers)::BIGINT FROM {chosen.counted} WHERE {number} IS NOT NULL "
            "GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        for segment, group, customers in found:
            counted.setdefault((each.name, segment), dict.fromkeys(GROUPS, 0))[GROUPS[group]] = customers
    return [
        {"audience": name, "segment_id": segment, "customers": sum(groups.values()), **groups}
        for (name, segment), groups in counted.items()
    ]


def _count_whole(chosen: Chosen) -> dict[str, int]:
    """How many customers segments have, where any is an audience."""
    if len(chosen.kept) == len(chosen.audiences.listed):
        return {}
    everybody = chosen.people.select(["segment_id"])
    return dict(
        chosen.connection.execute(f"SELECT segment_id, count(*) FROM ({everybody}) GROUP BY segment_id").fetchall()
    )


def count_overlaps(chosen: Chosen) -> Rows:
    """How many customers are in two audiences at once.

    Args:
        chosen: Who is in which audience.

    Returns:
        Rows of `audience_overlaps`; none of pairs that share nobody.
    """
    listed = chosen.audiences.listed
    pairs = list(combinations(range(len(listed)), 2))
    if not pairs:
        return []
    # Groups are drawn by lot, so that without them there are far fewer combinations.
    flags = ", ".join(f"{chosen.holds(each)} AS in_{n}" for n, each in enumerate(listed))
    together = f"SELECT {flags}, sum(customers) AS customers FROM {chosen.counted} GROUP BY ALL"
    sums = [f"coalesce(sum(customers) FILTER (in_{one} AND in_{other}), 0)::BIGINT" for one, other in pairs]
    [counts] = chosen.connection.execute(f"SELECT {', '.join(sums)} FROM ({together})").fetchall()
    return [
        {"audience": listed[one].name, "other_audience": listed[other].name, "customers": customers}
        for (one, other), customers in zip(pairs, counts, strict=True)
        if customers
    ]


def count_audiences(chosen: Chosen, segments: Rows) -> Rows:
    """How each audience is defined, and how many customers it has.

    Args:
        chosen: Who is in which audience.
        segments: From `count_segments`.

    Returns:
        Rows of `audiences`, in the order in which they claim customers.
    """
    names = ("customers", *GROUPS)
    sizes: dict[str, dict[str, int]] = {each.name: dict.fromkeys(names, 0) for each in chosen.audiences.listed}
    for row in segments:
        for name in names:
            sizes[row["audience"]][name] += row[name]
    return [
        {
            **as_row(each),
            "control_share": chosen.audiences.control,
            **sizes[each.name],
            "shared": _count_shared(chosen, each),
            "ratio_p_value": ratio_p_value(sizes[each.name], each.holdout),
        }
        for each in chosen.audiences.listed
    ]


def _count_shared(chosen: Chosen, audience: Audience) -> int:
    """Members who are in another audience as well."""
    own = chosen.holds(audience)
    others = [chosen.holds(each) for each in chosen.audiences.listed if each is not audience]
    if not others:
        return 0
    [(shared,)] = chosen.connection.execute(
        f"SELECT coalesce(sum(customers), 0)::BIGINT FROM {chosen.counted} WHERE {own} AND ({' OR '.join(others)})"
    ).fetchall()
    return int(shared)


def ratio_p_value(sizes: dict[str, int], holdout: float) -> float | None:
    """How likely chance makes the share of the held out so different from what is declared.

    A mismatch of the sample ratio says that something besides chance decides who is held out (Fabijan et al. 2019,
    KDD), so that nothing that is compared can be believed.

    Args:
        sizes: Customers by group.
        holdout: The declared share.

    Returns:
        The p-value of a chi-square test of one degree of freedom; None where nobody can be held out.
    """
    share = round(holdout * BUCKETS) / BUCKETS
    members = sizes[TREATED] + sizes[HELD_OUT]
    if not members or not 0 < share < 1:
        return None
    expected = share * members
    statistic = (sizes[HELD_OUT] - expected) ** 2 / (expected * (1 - share))
    return erfc(sqrt(statistic / 2))
