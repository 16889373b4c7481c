import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcart_pipeline.segmentation.personas import base_persona, describe_segment, name_segments
from smartcart_pipeline_tests.declared import BEHAVIOURAL

RECIPE = BEHAVIOURAL.recipe

BASE = {
    "customers": 1000,
    "mean_income": 50_000.0,
    "mean_total_spending": 600.0,
    "mean_total_children": 0.9,
    "share_living_with_partner": 0.6,
    "mean_age": 45.0,
    "mean_customer_tenure_days": 350.0,
    "mean_recency": 49.0,
    "mean_num_web_purchases": 4.0,
    "mean_num_deals_purchases": 2.0,
    "share_education_postgraduate": 0.4,
    "response_rate": 0.15,
}


POOR = {"mean_income": 30_000, "mean_total_spending": 100}


def profile(segment_id: str = "S01", **numbers: float) -> dict:
    return BASE | {"segment_id": segment_id, "customers": 250} | numbers


@pytest.mark.parametrize(
    ("numbers", "persona"),
    [
        ({"mean_income": 70_000, "mean_total_spending": 1200, "mean_total_children": 0.3}, "Affluent households"),
        (
            {
                "mean_income": 70_000,
                "mean_total_spending": 1200,
                "share_living_with_partner": 1,
                "mean_total_children": 0.3,
            },
            "Affluent couples",
        ),
        (
            POOR | {"share_living_with_partner": 1, "mean_total_children": 1},
            "Budget-minded families",
        ),
        (
            POOR | {"share_living_with_partner": 0, "mean_total_children": 2},
            "Budget-minded single parents",
        ),
        ({"mean_total_spending": 900, "share_living_with_partner": 0.1}, "Generous singles"),
        ({"mean_income": 80_000}, "Reserved well-off households"),
        ({}, "Mainstream households"),
    ],
)
def test_a_persona_follows_from_income_spending_and_household(numbers: dict, persona: str):
    assert base_persona(profile(**numbers), BASE, RECIPE) == persona


# A base of round numbers, so that the limits are met to the last bit.
# Standard deviations: nobody is told apart by them where a household tells.
SPREAD = dict.fromkeys(RECIPE.names, 1.0)
ROUND = BASE | {"mean_income": 100.0, "mean_total_spending": 100.0}


@pytest.mark.parametrize(
    ("income", "spending", "persona"),
    [
        (115, 115, "Affluent"),
        (114.99, 115, "Generous"),
        (115, 114.99, "Reserved well-off"),
        (114.99, 114.99, "Mainstream"),
        (85.01, 85.01, "Mainstream"),
        (85.01, 85, "Careful"),
        (85, 85.01, "Stretching"),
        (85, 85, "Budget-minded"),
    ],
)
def test_high_begins_at_115_and_low_ends_at_85_of_a_hundred(income: float, spending: float, persona: str):
    numbers = {"mean_income": income, "mean_total_spending": spending}
    assert base_persona(profile(**numbers), ROUND, RECIPE) == f"{persona} households"


@pytest.mark.parametrize(
    ("partnered", "children", "household"),
    [
        (0.75, 1, "families"),
        (0.75, 0.99, "couples"),
        (0.7499, 1, "parents"),
        (0.7499, 0.99, "households"),
        (0.2501, 1, "parents"),
        (0.25, 1, "single parents"),
        (0.25, 0.99, "singles"),
    ],
)
def test_households_are_judged_at_the_edges(partnered: float, children: float, household: str):
    numbers = {"share_living_with_partner": partnered, "mean_total_children": children}
    assert base_persona(profile(**numbers), BASE, RECIPE) == f"Mainstream {household}"


def test_a_base_without_income_has_neither_high_nor_low():
    assert base_persona(profile(mean_income=0), BASE | {"mean_income": 0}, RECIPE) == "Mainstream households"


@pytest.mark.parametrize(
    ("income", "words"),
    [
        (100.49, "the average"),
        (99.51, "the average"),
        (101.6, "2% above average"),
        (97, "3% below average"),
        (0.1, "over 99% below average"),
        (0, "100% below average"),
    ],
)
def test_a_difference_that_rounds_to_nothing_is_none(income: float, words: str):
    assert f"mean income of {income:,.0f} ({words})" in describe_segment(profile(mean_income=income), ROUND, (), RECIPE)


def test_of_three_that_sound_alike_the_middle_one_counts_to_the_lower():
    rows = name_segments([profile(f"S0{n}", mean_age=30 + n) for n in (1, 2, 3)], BASE, SPREAD, RECIPE)
    assert [row["persona"] for row in rows] == [
        "Mainstream households, younger (spending rank 1)",
        "Mainstream households, younger (spending rank 2)",
        "Mainstream households, older",
    ]


def test_a_segments_share_is_its_part_of_all_customers():
    [named] = name_segments([profile(customers=300)], BASE, dict.fromkeys(RECIPE.names, 1.0), RECIPE)
    assert named["share"] == 0.3


def test_the_rank_is_that_of_spending():
    alike = [profile("S01", mean_age=30), profile("S02", mean_age=30, mean_total_spending=601.0)]
    rows = name_segments([*alike, profile("S03", mean_age=50), profile("S04", mean_age=50)], BASE, SPREAD, RECIPE)
    assert [row["persona"].partition(", ")[2] for row in rows[:2]] == [
        "younger (spending rank 2)",
        "younger (spending rank 1)",
    ]


def test_segments_that_sound_alike_are_told_apart_by_what_differs_most():
    rows = name_segments(
        [profile("S01", mean_age=30), profile("S02", mean_age=65, mean_recency=50)], BASE, SPREAD, RECIPE
    )
    assert [row["persona"] for row in rows] == ["Mainstream households, younger", "Mainstream households, older"]


def test_what_differs_most_is_the_distance_and_not_what_is_left_of_a_division():
    rows = name_segments(
        [profile("S01", mean_age=30), profile("S02", mean_age=60, mean_recency=50)], BASE, SPREAD, RECIPE
    )
    assert [row["persona"] for row in rows] == ["Mainstream households, younger", "Mainstream households, older"]


def test_segments_alike_in_everything_are_told_apart_by_spending():
    rows = name_segments([profile("S01"), profile("S02", mean_total_spending=601.0)], BASE, SPREAD, RECIPE)
    assert len({row["persona"] for row in rows}) == 2


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "mean_income": st.floats(0, 200_000),
                "mean_total_spending": st.floats(0, 5_000),
                "mean_total_children": st.floats(0, 3),
                "share_living_with_partner": st.floats(0, 1),
                "mean_age": st.floats(18, 90),
            }
        ),
        min_size=2,
        max_size=10,
    ),
    st.randoms(use_true_random=False),
)
def test_personas_are_distinct_and_do_not_depend_on_a_segments_number(numbers: list[dict], random):
    profiles = [profile(f"S{i:02d}", **n) for i, n in enumerate(numbers)]
    named = {row["segment_id"]: row["persona"] for row in name_segments(profiles, BASE, SPREAD, RECIPE)}
    assert len(set(named.values())) == len(profiles)

    if len({tuple(n.values()) for n in numbers}) == len(numbers):  # segments that equal in all cannot be told apart
        shuffled = profiles.copy()
        random.shuffle(shuffled)
        again = [row["persona"] for row in name_segments(shuffled, BASE, SPREAD, RECIPE)]
        assert sorted(again) == sorted(named.values())


def test_the_description_says_it_in_the_businesss_units():
    text = describe_segment(
        profile(mean_income=70_912.4, mean_total_spending=1192.6, response_rate=0.32, mean_total_children=0.46),
        BASE,
        (),
        RECIPE,
    )
    assert text == (
        "250 customers (25.0%) with a mean income of 70,912 (42% above average) who spend 1,193 in two years "
        "(99% above average); 60% live with a partner, with 0.5 children at home on average; "
        "32% accepted the last campaign."
    )


def test_a_base_without_spending_can_be_described():
    base = BASE | {"mean_total_spending": 0.0}
    assert "who spend 0 in two years (the average)" in describe_segment(
        profile(mean_total_spending=0.0), base, (), RECIPE
    )
