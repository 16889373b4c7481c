from smartcart_pipeline.declaration.recipe import EncodedFeature
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
        "behavioural": "behavioural",
        "reference": "reference",
    }
