"""Rules are a partition of all customers, and say in the business's units what the tree found."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartcart_pipeline.segmentation.model import assign_model
from smartcart_pipeline.segmentation.rules import (
    DEPTH,
    Rule,
    count_agreement,
    describe_rule,
    fit_rules,
    meets,
    rule_rows,
)
from smartcart_pipeline.segmentation.scaling import encode_features
from smartcart_pipeline_tests.conftest import Frames, to_pandas
from smartcart_pipeline_tests.declared import BEHAVIOURAL, EDUCATION_LEVELS, REFERENCE
from smartcart_pipeline_tests.report.bikes import declare_bikes
from smartcart_pipeline_tests.segmentation.test_model import random_features, random_model

# Of a recipe that counts outcomes, what rules may speak of.
RULED = REFERENCE.recipe.without_outcomes


def encoded(features: pd.DataFrame) -> np.ndarray:
    import narwhals as nw

    values: np.ndarray = to_pandas(encode_features(nw.from_native(features), RULED))[list(RULED.names)].to_numpy(float)
    return values


def met(rules: list[Rule], features: pd.DataFrame) -> np.ndarray:
    """Whether each customer meets each rule, shape (customers, rules)."""
    import narwhals as nw

    columns = {str(number): meets(rule).alias(str(number)) for number, rule in enumerate(rules)}
    return to_pandas(nw.from_native(features).select(*columns.values())).to_numpy(bool)


def test_a_tree_finds_what_the_segments_are_made_of():
    features = random_features(3, customers=2_000)
    clusters = np.where(features["income"] > 40, np.where(features["education"] == "Graduate", 0, 1), 2)
    rules = fit_rules(encoded(features), clusters, RULED, seed=1)
    assert rules == [
        Rule(0, above={"income": 40}, levels={"education": ("Graduate",)}),
        Rule(1, above={"income": 40}, levels={"education": ("Postgraduate", "Undergraduate")}),
        Rule(2, upto={"income": 40}),
    ]


@given(st.integers(0, 10_000), st.integers(2, 6))
@settings(max_examples=15, deadline=None)
def test_every_customer_meets_exactly_one_rule(seed: int, k: int):
    features = random_features(seed, customers=300)
    features["income"] += 0.5  # which no threshold in whole units equals
    clusters = np.random.default_rng(seed).integers(0, k, 300)
    rules = fit_rules(encoded(features), clusters, RULED, seed)
    assert len(rules) <= 2**DEPTH
    assert [rule.cluster for rule in rules] == sorted(rule.cluster for rule in rules)
    unseen = random_features(seed + 1, customers=300)
    for customers in (features, unseen):
        assert met(rules, customers).sum(axis=1).tolist() == [1] * 300


def test_a_rule_is_about_at_least_five_in_a_thousand():
    features = random_features(3, customers=1_000)
    features["age"] = 30
    for odd, rules in ((1, 1), (4, 1), (5, 2)):
        features["recency"] = np.where(np.arange(1_000) < odd, 90, 10)
        for name in RULED.numeric:
            features[name] = features["recency"] if name == "recency" else 0
        features["living_with"], features["education"] = "Alone", "Graduate"
        clusters = (features["recency"] == 90).to_numpy(int)
        found = fit_rules(encoded(features), clusters, RULED, 1)
        assert len(found) == rules
    assert found == [Rule(0, upto={"recency": 50}), Rule(1, above={"recency": 50})]


def test_the_same_seed_gives_the_same_rules():
    features = random_features(5, customers=500)
    clusters = np.random.default_rng(5).integers(0, 3, 500)
    values = encoded(features)
    assert fit_rules(values, clusters, RULED, 7) == fit_rules(values, clusters, RULED, 7)


def test_rules_know_no_outcome():
    assert "response" in REFERENCE.recipe.names
    assert "response" not in RULED.names
    assert RULED.names == BEHAVIOURAL.recipe.names


def test_agreement_is_counted_over_all_customers(as_frame: Frames):
    features, model = random_features(2, customers=400), random_model(1)
    placed = to_pandas(assign_model(as_frame(features), model)).sort_values("customer_id")
    rules = [Rule(0, upto={"income": 30}), Rule(2, above={"income": 30}, upto={"income": 70}), Rule(2, {"income": 70})]
    counted = to_pandas(count_agreement(as_frame(features), rules, model)).to_dict("records")
    rows = rule_rows(rules, counted, model)

    number = np.select([features["income"] <= 30, features["income"] <= 70], [0, 1], 2)
    clusters = placed["kmeans_cluster"].to_numpy(int)
    for n, (row, rule) in enumerate(zip(rows, rules, strict=True)):
        both = ((number == n) & (clusters == rule.cluster)).sum()
        assert row["rule_number"] == n + 1
        assert row["segment_id"] == model.segment_ids[rule.cluster]
        assert row["customers"] == (number == n).sum()
        assert row["precision"] == both / (number == n).sum()
        assert row["coverage"] == both / (clusters == rule.cluster).sum()
        assert row["agreement"] == (clusters == np.array([0, 2, 2])[number]).sum() / 400


def test_a_rule_that_nobody_meets_and_a_segment_without_customers_count_as_zero():
    rows = rule_rows([Rule(0), Rule(1)], [{"rule_number": 1, "kmeans_cluster": 2, "customers": 9}], random_model(1))
    assert [(row["customers"], row["precision"], row["coverage"]) for row in rows] == [(9, 0, 0), (0, 0, 0)]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule(0), "everyone"),
        (Rule(0, {"income": 40_000}, {"income": 60_000}), "yearly income above 40,000 and up to 60,000"),
        (
            Rule(0, upto={"recency": 30}, levels={"living_with": ("Partner",), "education": EDUCATION_LEVELS[:2]}),
            "days since the last purchase up to 30; living with: Partner; education: Graduate or Postgraduate",
        ),
    ],
)
def test_a_rule_is_told_in_plain_words(rule: Rule, words: str):
    assert describe_rule(rule, RULED) == words


def test_a_rule_on_a_logarithm_is_told_in_the_number_itself():
    features = {"log_rides": {"log": "rides"}, "distance_km": {"column": "distance_km"}}
    recipe = declare_bikes(
        features=features, described={"rides": {"column": "rides"}}, report={"told": ["distance_km"]}
    ).recipe
    rule = Rule(0, above={"log_rides": math.log1p(12.3)}, upto={"log_rides": math.log1p(1_234_567)})
    assert describe_rule(rule, recipe) == "rides above 12.3 and up to 1,235,000"
