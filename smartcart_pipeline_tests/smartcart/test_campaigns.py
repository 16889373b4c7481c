"""Simulated campaigns: where there is no effect hardly any is worth it, and where there is one the truth is told."""

import numpy as np
import pytest

from smartcart_pipeline.smartcart.campaigns import LIFTS, NIGHTS, draw_customers, play_campaign, summarise_campaigns


@pytest.fixture(scope="module")
def summary():
    return {row["lift"]: row for row in summarise_campaigns(2_000, 120, 1)}


def test_without_an_effect_hardly_any_campaign_is_worth_it(summary):
    found = summary["none"]
    assert found["worth_it"] <= 0.05
    assert found["mean_gained"] == 0


def test_the_truth_lies_within_the_interval_on_all_nights(summary):
    assert all(row["wrong"] <= 0.05 for row in summary.values())
    assert summary["by_segment"]["not_worth_it"] == 0
    assert summary["by_segment"]["mean_gained"] > 0


def test_an_effect_is_found_where_there_are_customers_enough():
    customers, random = draw_customers(20_000, 2), np.random.default_rng(2)
    played = [play_campaign(customers, f"large {number}", LIFTS["by_segment"], random) for number in range(10)]
    assert sum(each.verdict == "worth_it" for each in played) >= 9
    assert all(each.night is None or 1 <= each.night <= NIGHTS for each in played)
    assert sum(each.missed > 0 for each in played) <= 1
