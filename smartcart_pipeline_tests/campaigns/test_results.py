"""What a campaign did is reckoned from those who were in it, from when they were."""

from datetime import date
from typing import Any

import duckdb
import numpy as np
import pytest

from smartcart_pipeline.campaigns.evidence import Group, compare_amount, compare_conversion
from smartcart_pipeline.campaigns.results import JUDGED, judge_outcomes, measure, tell_strange
from smartcart_pipeline_tests.declared import TABLES

DAY = date(2014, 7, 10)


def table(connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, str], rows: list[tuple[Any, ...]]):
    connection.execute(f"CREATE OR REPLACE TABLE {name} ({', '.join(f'{k} {v}' for k, v in columns.items())})")
    if rows:
        connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})", rows)


def columns(name: str) -> dict[str, str]:
    return {column.name: column.type for column in TABLES[name].columns}


TAKEN = {
    "taken": "INTEGER",
    "file_name": "VARCHAR",
    "line_number": "BIGINT",
    "campaign": "VARCHAR",
    "customer_id": "BIGINT",
    "day": "DATE",
    "converted": "BOOLEAN",
    "amount": "DOUBLE",
    "unreadable": "VARCHAR",
    "reason": "VARCHAR",
    "detail": "VARCHAR",
}


def outcome(customer: int, day: date = DAY, amount: float | None = 10.0, **given: Any) -> tuple[Any, ...]:
    row = {"taken": 0, "file_name": "f", "line_number": customer + 1, "campaign": "wine", "customer_id": customer}
    row |= {"day": day, "converted": True, "amount": amount, "unreadable": None, "reason": None, "detail": None}
    return tuple((row | given)[name] for name in TAKEN)


def stay(customer: int, group: str = "treated", start: date = date(2014, 7, 1), end: date | None = None, **given: Any):
    row = {"audience": "wine", "customer_id": customer, "member_group": group, "valid_from": start, "valid_to": end}
    return tuple((row | {"segment_id": "S01", "worth": 5.0} | given)[name] for name in columns("audience_stays"))


def delivery(day: date) -> tuple[Any, ...]:
    row = dict.fromkeys(columns("deliveries")) | {"audience": "wine", "number": 1, "as_of_date": day}
    return tuple(row.values())


@pytest.fixture
def connection():
    with duckdb.connect() as made:
        yield made


def judge(
    connection: duckdb.DuckDBPyConnection,
    outcomes: list[tuple[Any, ...]],
    stays: list[tuple[Any, ...]],
    deliveries: tuple[tuple[Any, ...], ...] = (),
) -> dict[tuple[int, int], str | None]:
    """Reasons by file and customer."""
    table(connection, "taken_in", TAKEN, outcomes)
    table(connection, "audience_stays", columns("audience_stays"), stays)
    table(connection, "deliveries", columns("deliveries"), list(deliveries))
    judge_outcomes(connection, "FROM taken_in", "audience_stays", "deliveries")
    found = connection.execute(f"SELECT taken, customer_id, reason FROM {JUDGED}").fetchall()
    return {(taken, customer): reason for taken, customer, reason in found}


def test_an_outcome_counts_from_the_first_night_in_the_audience(connection: duckdb.DuckDBPyConnection):
    stays = [stay(1), stay(2, start=DAY), stay(3, start=date(2014, 7, 11)), stay(4, end=date(2014, 7, 2))]
    found = judge(connection, [outcome(number) for number in (1, 2, 3, 4, 5)], stays)
    assert found == {(0, 1): None, (0, 2): None, (0, 3): "before_campaign", (0, 4): None, (0, 5): "no_member"}


def test_where_the_list_was_handed_out_it_counts_from_then(connection: duckdb.DuckDBPyConnection):
    stays = [stay(1), stay(2, end=date(2014, 7, 3)), stay(3, start=date(2014, 7, 9))]
    outcomes = [outcome(1, day=date(2014, 7, 4)), outcome(2), outcome(3)]
    found = judge(connection, outcomes, stays, (delivery(date(2014, 7, 5)),))
    # Whoever had left before the first delivery was never addressed.
    assert found == {(0, 1): "before_campaign", (0, 2): "no_member", (0, 3): "no_member"}
    # Whoever has come since waits for the next.
    again = judge(connection, outcomes, stays, (delivery(date(2014, 7, 5)), delivery(DAY)))
    assert again == found | {(0, 3): None}


def test_the_last_file_counts_and_an_unknown_campaign_does_not(connection: duckdb.DuckDBPyConnection):
    outcomes = [outcome(1), outcome(1, taken=1, amount=15), outcome(1, taken=1, amount=5, line_number=9)]
    outcomes += [outcome(2, campaign="win"), outcome(3, reason="missing_id")]
    found = judge(connection, outcomes, [stay(1), stay(2), stay(3)])
    assert found == {(0, 1): "replaced", (1, 1): None, (0, 2): "unknown_campaign", (0, 3): "missing_id"}
    assert tell_strange(connection) == ["1 outcome is of a campaign that is no audience's: 'win'."]
    [row] = [row for row in measure(connection, {"wine": 0.5}) if row["segment_id"] == "all"]
    assert row["treated_amount"] == pytest.approx(20 / 3)
    assert row["cost"] == 1.5
    assert row["found"].startswith("Too small to tell: there are not both")
    assert row["customers_needed"] is None


def test_sums_are_those_of_a_loop_over_customers(connection: duckdb.DuckDBPyConnection):
    random = np.random.default_rng(3)
    size = 4_000
    groups = random.choice(["treated", "held_out", "control"], size, p=[0.8, 0.15, 0.05])
    segments, worth = random.choice(["S01", "S02"], size), random.gamma(2, 100, size).round(2)
    bought = random.random(size) < np.where(groups == "treated", 0.3, 0.1)
    amounts = np.round(random.lognormal(3, 1, size) + worth / 10, 2)
    stays = [stay(number, groups[number], segment_id=segments[number], worth=worth[number]) for number in range(size)]
    # Half of it on another day.
    outcomes = [
        outcome(number, day=day, amount=amounts[number] / 2)
        for number in np.flatnonzero(bought)
        for day in (DAY, date(2014, 7, 20))
    ]
    outcomes = [tuple(value.item() if isinstance(value, np.generic) else value for value in row) for row in outcomes]
    stays = [tuple(value.item() if isinstance(value, np.generic) else value for value in row) for row in stays]
    reasons = judge(connection, outcomes, stays)
    assert {number for (_, number), reason in reasons.items() if reason == "no_member"} == {
        number for number in np.flatnonzero(bought) if groups[number] == "control"
    }
    assert set(reasons.values()) == {None, "no_member"}
    found = {row["segment_id"]: row for row in measure(connection, {"wine": 2.0})}
    assert list(found) == ["all", "S01", "S02"]
    most = np.quantile(amounts[bought & (groups != "control")], 0.99)
    spent = np.where(bought, np.minimum(amounts, most), 0)
    for segment, row in found.items():
        inside = np.ones(size, bool) if segment == "all" else segments == segment
        treated, held_out = (
            Group(
                whose.sum(),
                bought[whose].sum(),
                spent[whose].sum(),
                (spent[whose] ** 2).sum(),
                worth[whose].sum(),
                (worth[whose] ** 2).sum(),
                (spent[whose] * worth[whose]).sum(),
            )
            for whose in (inside & (groups == "treated"), inside & (groups == "held_out"))
        )
        assert (row["treated"], row["held_out"]) == (treated.customers, held_out.customers)
        amount, rate = compare_amount(treated, held_out), compare_conversion(treated, held_out)
        assert amount
        assert rate
        assert [row["amount_difference"], row["amount_low"], row["amount_high"]] == pytest.approx(
            [amount.estimate, amount.low, amount.high], rel=1e-5
        )
        assert [row["rate_difference"], row["rate_low"], row["rate_high"]] == pytest.approx(
            [rate.estimate, rate.low, rate.high]
        )
        assert row["net"] == pytest.approx((amount.estimate - 2) * treated.customers, rel=1e-5)
    assert found["all"]["verdict"] == "worth_it"
    assert "Worth it: a customer who is addressed spends" in found["all"]["found"]


def test_without_amounts_conversions_decide(connection: duckdb.DuckDBPyConnection):
    stays = [stay(number, "treated" if number % 2 else "held_out") for number in range(2_000)]
    outcomes = [outcome(number, amount=None) for number in range(1, 2_000, 4)]
    judge(connection, outcomes, stays)
    [row] = [row for row in measure(connection, {"wine": 1.0}) if row["segment_id"] == "all"]
    assert row["verdict"] == "worth_it"
    assert row["amount_difference"] is row["net"] is row["return_on_cost"] is None
    assert "more convert than of a hundred who are held out" in row["found"]


def test_where_the_cost_is_not_known_nothing_is_said_of_worth(connection: duckdb.DuckDBPyConnection):
    stays = [stay(number, "treated" if number % 2 else "held_out") for number in range(2_000)]
    judge(connection, [outcome(number, amount=10.0 + number % 7) for number in range(1, 2_000, 2)], stays)
    told = {cost: measure(connection, costs)[0] for cost, costs in ((0.5, {"wine": 0.5}), (None, {}))}
    assert told[0.5]["verdict"] == "worth_it"
    assert (told[None]["verdict"], told[None]["net"], told[None]["cost"]) == ("too_small", None, None)
    assert "declared no more" in told[None]["found"]


def test_a_lot_that_is_drawn_late_compares_those_who_were_there_then(connection: duckdb.DuckDBPyConnection):
    lot = date(2014, 7, 8)
    stays = [
        stay(1),
        stay(2, end=lot),
        stay(2, "held_out", start=lot),
        stay(3, end=date(2014, 7, 5)),
        stay(4, start=lot),
    ]
    outcomes = [outcome(number, day=day) for number in (1, 2, 3, 4) for day in (date(2014, 7, 2), DAY)]
    outcomes = [(*row[:2], line, *row[3:]) for line, row in enumerate(outcomes)]
    judge(connection, outcomes, stays)
    counted = connection.execute(f"SELECT customer_id, day FROM {JUDGED} WHERE reason IS NULL ORDER BY ALL").fetchall()
    assert counted == [(1, DAY), (2, DAY), (4, DAY)]
    groups = dict(connection.execute("SELECT customer_id, is_treated FROM entered_campaigns").fetchall())
    assert groups == {1: True, 2: False, 4: True}


def test_names_that_may_be_values_are_not_told(connection: duckdb.DuckDBPyConnection):
    judge(connection, [outcome(1, campaign="alice@example.com"), outcome(2, campaign="win")], [stay(1)])
    assert tell_strange(connection) == [
        "2 outcomes are of campaigns that are no audience's: 'xxxxx@xxxxxxx.xxx', 'win'."
    ]


def test_the_same_customers_in_another_order_give_the_same_to_the_last_digit(connection: duckdb.DuckDBPyConnection):
    random = np.random.default_rng(8)
    stays = [stay(n, "treated" if n % 3 else "held_out", worth=float(random.random() * 1e4)) for n in range(900)]
    outcomes = [outcome(n, amount=float(random.random() * 99)) for n in range(0, 900, 2)]
    found = []
    for _ in range(3):
        random.shuffle(stays)
        random.shuffle(outcomes)
        judge(connection, outcomes, stays)
        found.append(measure(connection, {"wine": 1.0}))
    assert found[0] == found[1] == found[2]
