"""Changes: who entered and left an audience tonight, and why."""

from collections.abc import Iterator, Mapping
from datetime import date

from smartcart_pipeline.audiences.audience import Audience, Rule
from smartcart_pipeline.audiences.choosing import Chosen, consents, reads
from smartcart_pipeline.audiences.conditions import columns_of, normalise
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.engines.sql import literal

CHANGED = "changed_members"
# What a condition reads of a customer's segment.
OF_SEGMENTS = {"segment_id", "persona", "runner_up_segment_id", "confidence", "distance", "margin", "is_at_risk"}


def find_changes(
    chosen: Chosen, stays: str, as_of: date, rules: Mapping[str, Rule], consents_before: Mapping[str, str]
) -> str:
    """Find who entered and left, among the few whose stays begin or end tonight.

    Args:
        chosen: Who is in which audience tonight.
        stays: The table `audience_stays` with tonight, as SQL that may follow FROM.
        as_of: Tonight's as-of date.
        rules: The rules of the audiences that there were the night before, by name.
        consents_before: For each column of consent that was delivered then, SQL that may follow FROM: `customer_id` and
            `was`, whether the customer consented.

    Returns:
        One SELECT, in the columns of `audience_changes`.
    """
    connection, day = chosen.connection, f"DATE {literal(as_of.isoformat())}"
    known = [each for each in chosen.audiences.listed if each.name in rules and not each.is_segment]
    dated = f"SELECT audience, {KEY}, valid_from = {day} AS begun, valid_to = {day} AS ended FROM {stays}"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {CHANGED} AS SELECT audience, {KEY}, "
        "CASE WHEN bool_or(begun) AND bool_or(ended) THEN 'regrouped' WHEN bool_or(begun) THEN 'entered' "
        f"ELSE 'left' END AS change FROM ({dated}) WHERE begun OR coalesce(ended, false) GROUP BY audience, {KEY}"
    )
    parts = [_explain(chosen, each, rules[each.name], consents_before) for each in known]
    parts += [
        f"SELECT audience, {KEY}, change, 'definition' AS reason FROM {CHANGED} WHERE audience = {literal(name)}"
        for name in rules
        if name not in chosen.audiences.by_name
    ]
    nobody = f"SELECT audience, {KEY}, change, '' AS reason FROM {CHANGED} LIMIT 0"
    return f"FROM ({' UNION ALL '.join(parts) or nobody}) ORDER BY audience, {KEY}"


def _explain(chosen: Chosen, audience: Audience, rule: Rule, consents_before: Mapping[str, str]) -> str:
    """Why each customer entered or left one audience."""
    condition = normalise(audience.where) if audience.where else "true"
    said = consents(audience, chosen.people)
    tonight = (
        f"SELECT {KEY}, coalesce({condition}, false) AS holds, coalesce({said}, false) AS consents "
        f"FROM ({chosen.people.select(reads(audience, chosen.people))}) WHERE {KEY} IN (SELECT {KEY} FROM {CHANGED})"
    )
    before = consents_before.get(audience.consent)
    cases = " ".join(f"WHEN {found} THEN {literal(reason)}" for found, reason in _reasons(audience, rule, before))
    return (
        f"SELECT changed.audience, changed.{KEY}, changed.change, CASE {cases} ELSE 'rule' END AS reason "
        f"FROM {CHANGED} AS changed LEFT JOIN clusters ON clusters.{KEY} = changed.{KEY} "
        f"LEFT JOIN ({tonight}) AS tonight ON tonight.{KEY} = changed.{KEY} "
        f"{f'LEFT JOIN {before} AS before ON before.{KEY} = changed.{KEY} ' if before else ''}"
        f"WHERE changed.audience = {literal(audience.name)}"
    )


def _reasons(audience: Audience, rule: Rule, before: str | None) -> Iterator[tuple[str, str]]:
    """Conditions and reasons, of which the first that holds counts."""
    yield "changed.change = 'regrouped'", "holdout"
    yield f"clusters.{KEY} IS NULL", "gone"
    yield "changed.change = 'entered' AND clusters.previous_segment_id IS NULL", "new"
    if audience.rule != rule:
        yield "true", "definition"
    yield "changed.change = 'left' AND NOT tonight.consents", "consent"
    if OF_SEGMENTS.intersection(columns_of(audience.where)):
        moved = "clusters.previous_segment_id IS DISTINCT FROM clusters.segment_id"
        yield f"{moved} AND (changed.change = 'entered' OR NOT tonight.holds)", "segment"
    yield "changed.change = 'left' AND tonight.holds", "priority"
    if before:
        yield "changed.change = 'entered' AND NOT coalesce(before.was, false)", "consent"
