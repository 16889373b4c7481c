from dataclasses import replace

import pytest

from smartcart_pipeline.declaration.recipe import EncodedFeature, Recipe
from smartcart_pipeline_tests.declared import RECIPES


def test_the_behavioural_recipe_knows_no_outcome():
    assert RECIPES["behavioural"].names == (
        "age",
        "customer_tenure_days",
        "total_spending",
        "total_children",
        "income",
        "recency",
        "num_deals_purchases",
        "num_web_purchases",
        "num_catalog_purchases",
        "num_store_purchases",
        "num_web_visits_month",
        "complain",
        "living_with_alone",
        "living_with_partner",
        "education_graduate",
        "education_postgraduate",
        "education_undergraduate",
    )


def test_the_reference_recipe_adds_the_outcome_behind_the_numbers():
    behavioural, reference = RECIPES["behavioural"].names, RECIPES["reference"].names
    assert reference == (*behavioural[:12], "response", *behavioural[12:])
    for recipe in RECIPES.values():
        assert [feature.name for feature in recipe.outcomes] == ["response"]


def test_every_category_gets_an_indicator_that_knows_its_source():
    assert RECIPES["behavioural"].encoded[11:14] == (
        EncodedFeature("complain", "complain", None),
        EncodedFeature("living_with_alone", "living_with", "Alone"),
        EncodedFeature("living_with_partner", "living_with", "Partner"),
    )


def test_a_recipe_is_found_under_its_name():
    assert {name: recipe.name for name, recipe in RECIPES.items()} == {
        "balanced": "balanced",
        "behavioural": "behavioural",
        "reference": "reference",
    }


SENSITIVE = ("age", "living_with", "education", "total_children")


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_every_shipped_recipe_says_what_is_sensitive(recipe: Recipe):
    assert recipe.sensitive == SENSITIVE
    assert set(recipe.sensitive) <= recipe.by_name.keys()


def test_the_balanced_recipe_shows_nothing_sensitive_no_outcome_and_what_each_does_once():
    recipe = RECIPES["balanced"]
    assert recipe.names == (
        "customer_tenure_days",
        "income",
        "recency",
        "log_total_spending",
        "log_num_deals_purchases",
        "log_num_web_purchases",
        "log_num_catalog_purchases",
        "log_num_store_purchases",
        "num_web_visits_month",
    )
    sources = {column.source for column in recipe.encoded}
    assert not sources & set(SENSITIVE)
    assert not sources & {feature.name for feature in recipe.outcomes}
    assert not recipe.counts_outcomes
    assert {feature.weight for feature in recipe.seen} == {1.0}
    assert set(recipe.factors) == {1.0}
    assert recipe.fences == RECIPES["behavioural"].fences


def test_the_balanced_recipe_makes_all_that_the_behavioural_one_does_and_in_the_same_way():
    balanced, behavioural = RECIPES["balanced"], RECIPES["behavioural"]
    assert {feature.name for feature in behavioural.features} < set(balanced.by_name)
    # What it is for may differ, and whose advice it rests on.
    for feature in behavioural.features:
        same = replace(balanced.by_name[feature.name], role=feature.role)
        if feature.name == "num_web_visits_month":
            assert same.words.do.but_less == "log_num_web_purchases"
            same = replace(same, words=replace(same.words, do=feature.words.do))
        assert same == feature
    assert balanced.makes_for(behavioural)
    assert (balanced.limits, balanced.impute, balanced.newest) == (
        behavioural.limits,
        behavioural.impute,
        behavioural.newest,
    )


def test_every_feature_of_the_behavioural_recipe_that_the_balanced_one_does_not_show_is_described():
    balanced, behavioural = RECIPES["balanced"], RECIPES["behavioural"]
    hidden = [feature.name for feature in behavioural.seen if feature.name not in {f.name for f in balanced.seen}]
    assert {balanced.by_name[name].role for name in hidden} == {"described"}
    assert {*SENSITIVE, "complain", "total_spending"} <= set(hidden)


def test_fences_are_of_numbers_and_the_reference_recipe_has_none():
    assert {name: recipe.fences is None for name, recipe in RECIPES.items()} == {
        "balanced": False,
        "behavioural": False,
        "reference": True,
    }
    assert RECIPES["behavioural"].fenced == tuple(name for name in RECIPES["behavioural"].numeric if name != "complain")
    assert RECIPES["balanced"].fenced == RECIPES["balanced"].names
    assert RECIPES["reference"].fenced == ()
