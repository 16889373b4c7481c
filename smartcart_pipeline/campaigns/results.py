"""Results: what a campaign did, by comparing those who were addressed with those who were held out by lot.

A customer counts from the first night in the audience, or, where its list was ever handed out, from the first delivery
while in it, in the group and segment of that stay: whoever leaves later was addressed all the same. Customers of the
control group of all audiences count in none: they miss the other campaigns as well, and so are like nobody here.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from smartcart_pipeline.campaigns.evidence import (
    Difference,
    Group,
    Verdict,
    compare_amount,
    compare_conversion,
    customers_needed,
    judge,
)
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.cleaning import hide_value

if TYPE_CHECKING:
    import duckdb

# Customers of all segments together.
ALL = "all"
# Of those who spent anything, this share spent no more than what the others are counted with.
WINSORISED = 0.99
# So many names are told in one sentence.
NAMED = 5
LIKE_A_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}")
ENTERED, JUDGED = "entered_campaigns", "judged_outcomes"
# What a customer was worth counts up to this, so that sums of squares of hundredths are exact whole numbers.
MOST_WORTH = 1e9


def judge_outcomes(connection: "duckdb.DuckDBPyConnection", taken: str, stays: str, deliveries: str) -> None:
    """Find out of each outcome whether it counts, in a temporary table `JUDGED`.

    Args:
        connection: Knows the tables.
        taken: All rows that were taken in, as SQL.
        stays: The table `audience_stays`, as SQL that may follow FROM.
        deliveries: The table `deliveries`, likewise.
    """
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {ENTERED} AS {_select_entered(taken, stays, deliveries)}")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {JUDGED} AS SELECT taken.* REPLACE (CASE "
        "WHEN reason IS NOT NULL THEN reason "
        f"WHEN campaign NOT IN (SELECT audience FROM {stays}) THEN 'unknown_campaign' "
        "WHEN entered IS NULL THEN 'no_member' WHEN day < entered THEN 'before_campaign' "
        f"WHEN taken < max(taken) FILTER (reason IS NULL) OVER (PARTITION BY campaign, {KEY}, day) THEN 'replaced' "
        "END AS reason, CASE "
        "WHEN reason IS NOT NULL THEN detail "
        f"WHEN campaign NOT IN (SELECT audience FROM {stays}) THEN 'no audience of that name was ever chosen' "
        "WHEN entered IS NULL THEN 'the customer was never in the audience, or is of the control group' "
        "WHEN day < entered THEN 'the customer was not in the audience before ' || entered END AS detail) "
        f"FROM ({taken}) AS taken LEFT JOIN {ENTERED} USING (campaign, {KEY})"
    )


def _select_entered(taken: str, stays: str, deliveries: str) -> str:
    """Customers of the campaigns that there are outcomes of: since when, and in which group and segment."""
    parts = {
        "handed": f"SELECT DISTINCT audience, as_of_date AS day FROM {deliveries}",
        # Before anybody was held out there was nobody to compare with: all begin on the day of the first lot.
        "lots": f"SELECT audience, min(valid_from) AS first FROM {stays} WHERE member_group = 'held_out' GROUP BY ALL",
        "asked": (
            "SELECT stays.* REPLACE (greatest(valid_from, coalesce(first, valid_from)) AS valid_from) "
            f"FROM {stays} AS stays LEFT JOIN lots USING (audience) WHERE member_group <> 'control' "
            f"AND audience IN (SELECT campaign FROM ({taken})) "
            "AND (first IS NULL OR valid_to IS NULL OR valid_to > first)"
        ),
        "dated": (
            "SELECT asked.*, CASE WHEN asked.audience IN (SELECT audience FROM handed) THEN handed.day "
            "ELSE valid_from END AS day FROM asked ASOF LEFT JOIN handed "
            "ON asked.audience = handed.audience AND asked.valid_from <= handed.day"
        ),
    }
    return (
        f"WITH {', '.join(f'{name} AS ({query})' for name, query in parts.items())} "
        f"SELECT audience AS campaign, {KEY}, min(day) AS entered, "
        "arg_min(member_group = 'treated', day) AS is_treated, arg_min(segment_id, day) AS segment_id, "
        "arg_min(worth, day) AS worth FROM dated "
        f"WHERE day IS NOT NULL AND (valid_to IS NULL OR day < valid_to) GROUP BY audience, {KEY}"
    )


def tell_strange(connection: "duckdb.DuckDBPyConnection") -> list[str]:
    """What people should know of outcomes that count for no campaign.

    Args:
        connection: Where `judge_outcomes` was called.

    Returns:
        A sentence where there are campaigns of names that are no audience's.
    """
    unknown = connection.execute(
        f"SELECT campaign, count(*) FROM {JUDGED} WHERE reason = 'unknown_campaign' GROUP BY ALL ORDER BY 2 DESC, 1"
    ).fetchall()
    if not unknown:
        return []
    # Where columns were mixed up, a customer's value may stand in the place of a name.
    names = dict.fromkeys(name if LIKE_A_NAME.fullmatch(name) else hide_value(name) for name, _ in unknown)
    named = ", ".join(map(repr, list(names)[:NAMED])) + (", …" if len(names) > NAMED else "")
    rows = sum(rows for _, rows in unknown)
    counted = "1 outcome is of a campaign that is" if rows == 1 else f"{rows:,} outcomes are of campaigns that are"
    return [f"{counted} no audience's: {named}."]


def measure(connection: "duckdb.DuckDBPyConnection", costs: Mapping[str, float]) -> Rows:
    """What each campaign did, of all segments together and of each.

    Args:
        connection: Where `judge_outcomes` was called.
        costs: What addressing a customer costs, by campaign; where it is not known, nothing is said of its worth.

    Returns:
        Rows of `campaign_results`.
    """
    groups: dict[tuple[str, str], dict[bool, Group]] = {}
    with_amounts: set[str] = set()
    for campaign, segment, is_treated, has_amounts, *sums in _sum_up(connection):
        groups.setdefault((campaign, segment or ALL), {})[is_treated] = _group(*sums)
        if has_amounts:
            with_amounts.add(campaign)
    nobody = Group(0, 0)
    return [
        _describe(
            {"campaign": campaign, "segment_id": segment},
            (found.get(True, nobody), found.get(False, nobody)),
            costs.get(campaign),
            has_amounts=campaign in with_amounts,
        )
        for (campaign, segment), found in sorted(
            groups.items(), key=lambda item: (item[0][0], item[0][1] != ALL, item[0])
        )
    ]


def _group(customers: int, conversions: int, *sums: int) -> Group:
    """A group, from sums of hundredths and of their squares: whole numbers are the same in whatever order they come."""
    amount, amount_squared, before, before_squared, product = sums
    return Group(
        customers, conversions, amount / 100, amount_squared / 1e4, before / 100, before_squared / 1e4, product / 1e4
    )


def _sum_up(connection: "duckdb.DuckDBPyConnection") -> Iterator[tuple[Any, ...]]:
    """Sums over the customers of each campaign, segment and group; of all segments, the segment is null."""
    yield from connection.execute(
        f"WITH counted AS (SELECT campaign, {KEY}, bool_or(coalesce(converted, amount > 0, false)) AS converted, "
        f"sum(coalesce(amount, 0)) AS amount FROM {JUDGED} WHERE reason IS NULL GROUP BY campaign, {KEY}), "
        f"most AS (SELECT campaign, quantile_cont(amount, {WINSORISED}) AS most FROM counted WHERE amount > 0 "
        "GROUP BY campaign), "
        "each AS (SELECT entered.campaign, segment_id, is_treated, coalesce(converted, false)::INTEGER AS converted, "
        "round(100 * least(coalesce(amount, 0), coalesce(most, 0)))::HUGEINT AS amount, "
        f"round(100 * greatest(least(coalesce(worth, 0), {MOST_WORTH}), -{MOST_WORTH}))::HUGEINT AS before "
        f"FROM {ENTERED} AS entered LEFT JOIN counted USING (campaign, {KEY}) LEFT JOIN most USING (campaign)) "
        "SELECT campaign, segment_id, is_treated, bool_or(amount <> 0), count(*), sum(converted)::BIGINT, sum(amount), "
        "sum(amount * amount), sum(before), sum(before * before), sum(amount * before) FROM each "
        "GROUP BY GROUPING SETS ((campaign, segment_id, is_treated), (campaign, is_treated))"
    ).fetchall()


def _describe(
    named: dict[str, str], groups: tuple[Group, Group], cost: float | None, *, has_amounts: bool
) -> dict[str, Any]:
    """A row of `campaign_results`."""
    treated, held_out = groups
    conversion = compare_conversion(treated, held_out)
    amount = compare_amount(treated, held_out) if has_amounts else None
    verdict, needed = judge(amount, conversion, cost or 0.0, has_amounts=has_amounts), None
    if cost is None:
        verdict = "too_small"
    elif verdict == "too_small" and treated.customers and held_out.customers and _is_any(groups):
        needed = customers_needed(treated, held_out, cost if has_amounts else 0.0, has_amounts=has_amounts)
    spent = None if cost is None else cost * treated.customers
    gained = amount.estimate * treated.customers if amount else None
    return {
        **named,
        "treated": treated.customers,
        "held_out": held_out.customers,
        "treated_conversions": treated.conversions,
        "held_out_conversions": held_out.conversions,
        "treated_rate": _mean(treated.conversions, treated),
        "held_out_rate": _mean(held_out.conversions, held_out),
        **_bounds("rate", conversion),
        "incremental_conversions": conversion.estimate * treated.customers if conversion else None,
        "treated_amount": _mean(treated.amount, treated),
        "held_out_amount": _mean(held_out.amount, held_out),
        **_bounds("amount", amount),
        "incremental_amount": gained,
        "cost": spent,
        "net": None if gained is None or spent is None else gained - spent,
        "return_on_cost": gained / spent if gained is not None and spent else None,
        "verdict": verdict,
        "customers_needed": needed,
        "found": _tell(verdict, amount if has_amounts else conversion, cost, needed, has_amounts=has_amounts),
    }


def _is_any(groups: tuple[Group, Group]) -> bool:
    """Whether anybody did anything."""
    return any(group.conversions or group.amount for group in groups)


def _mean(total: float, group: Group) -> float | None:
    return total / group.customers if group.customers else None


def _bounds(name: str, found: Difference | None) -> dict[str, float | None]:
    return {
        f"{name}_difference": found.estimate if found else None,
        f"{name}_low": found.low if found else None,
        f"{name}_high": found.high if found else None,
    }


def _tell(
    verdict: Verdict, found: Difference | None, cost: float | None, needed: int | None, *, has_amounts: bool
) -> str:
    """The verdict in words."""
    if cost is None:
        return "The audience is declared no more, so that nobody knows what addressing a customer costs."
    if needed is None and verdict == "too_small":
        return "Too small to tell: there are not both customers who are addressed and held out, and some who converted."
    if verdict == "too_small" or found is None:
        return f"Too small to tell: about {needed:,} more customers are needed."
    begun = "Worth it" if verdict == "worth_it" else "Not worth it"
    if has_amounts:
        return (
            f"{begun}: a customer who is addressed spends {found.estimate:,.2f} more than one who is held out "
            f"({found.low:,.2f} to {found.high:,.2f}), and costs {cost:,.2f}."
        )
    return (
        f"{begun}: of a hundred customers who are addressed, {100 * found.estimate:,.1f} more convert than of a "
        f"hundred who are held out ({100 * found.low:,.1f} to {100 * found.high:,.1f})."
    )
