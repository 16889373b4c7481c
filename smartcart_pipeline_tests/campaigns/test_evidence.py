"""Whether a campaign pays: intervals hold the truth at all looks together, and find what there is as fast as they can.

Many campaigns are simulated at once, each with a look every night: every sum of a group is an array of the shape
(campaigns, nights).
"""

from dataclasses import fields, replace
from math import e, exp, log
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import lambertw
from scipy.stats import norm, ttest_ind

from smartcart_pipeline.campaigns.evidence import (
    ALPHA,
    LEAST,
    SMALLEST,
    SOUGHT,
    Difference,
    Group,
    bound_amount,
    bound_conversion,
    compare_amount,
    compare_conversion,
    customers_needed,
    expected_customers,
    find_tightest,
    judge,
    newcombe,
    reach,
    welch,
)

CAMPAIGNS = 2_000
# Nobody who is in the tail of amounts beyond so many deviations of their logarithm keeps what they spent.
EXTREME = 2.0


def add_up(*sums: Any) -> Group:
    """Sums of all nights up to each, from sums of each night."""
    return Group(*(np.cumsum(each, axis=1) for each in sums))


def draw_sizes(random: np.random.Generator, nightly: int, share: float, nights: int) -> tuple[Any, Any]:
    """How many of each night's customers are treated and held out."""
    held_out = random.binomial(nightly, share, (CAMPAIGNS, nights))
    return nightly - held_out, held_out


def convert(seed: int, rates: tuple[float, float], share: float, nightly: int, nights: int) -> tuple[Group, Group]:
    random = np.random.default_rng(seed)
    treated, held_out = (
        add_up(customers, random.binomial(customers, rate))
        for customers, rate in zip(draw_sizes(random, nightly, share, nights), rates, strict=True)
    )
    return treated, held_out


def spend(
    seed: int, rates: tuple[float, float], share: float, nightly: int, spread: float, correlation: float = 0.0
) -> tuple[Group, Group]:
    """Most spend nothing; of others the logarithm is normal, with its extremes moved in, as what they spent before.

    Of those who spent something before, which is as many in either group, half do so again in the group of more.
    """
    random, nights = np.random.default_rng(seed), 60
    groups = []
    for customers, rate in zip(draw_sizes(random, nightly, share, nights), rates, strict=True):
        active = random.binomial(customers, 2 * max(rates))
        size = int(active.sum())
        logarithm = random.standard_normal(size)
        other = correlation * logarithm + (1 - correlation**2) ** 0.5 * random.standard_normal(size)
        buys = random.random(size) < rate / (2 * max(rates))
        amount, before = (np.exp(spread * np.minimum(each, EXTREME)) for each in (logarithm * buys, other))
        amount = np.where(buys, amount, 0.0)
        drawn = (buys, amount, amount**2, before, before**2, amount * before)
        # Sums of each night are differences of running sums at its end and its start.
        ends = np.cumsum(active.ravel())
        running = (np.concatenate([[0.0], np.cumsum(each)]) for each in drawn)
        sums = [(each[ends] - each[ends - active.ravel()]).reshape(active.shape) for each in running]
        groups.append(add_up(customers, *sums))
    return groups[0], groups[1]


def mean_spent(rate: float, spread: float) -> float:
    """What a customer of `spend` spends on average."""
    normal = NormalDist()
    below = exp(spread**2 / 2) * normal.cdf(EXTREME - spread)
    return rate * (below + exp(spread * EXTREME) * (1 - normal.cdf(EXTREME)))


def spend_normally(
    seed: int, effect: float, sizes: tuple[int, int], nights: int, correlation: float = 0.0, campaigns: int = CAMPAIGNS
) -> tuple[Group, Group]:
    """Amounts with a deviation of 1, and what was spent before: normal, drawn as sums by Bartlett's decomposition."""
    random, shape = np.random.default_rng(seed), (campaigns, nights)
    groups = []
    for customers, mean in zip(sizes, (3.0 + effect, 3.0), strict=True):
        early, late, skew = random.standard_normal((3, *shape))
        early, late = early * customers**0.5, late * customers**0.5
        early_squared = random.chisquare(customers - 1, shape)
        late_squared = skew**2 + random.chisquare(customers - 2, shape) + late**2 / customers
        both = skew * early_squared**0.5 + early * late / customers
        early_squared += early**2 / customers
        other = (1 - correlation**2) ** 0.5
        own = correlation * early + other * late
        own_squared = correlation**2 * early_squared + 2 * correlation * other * both + other**2 * late_squared
        product = correlation * early_squared + other * both
        groups.append(
            add_up(
                np.full(shape, customers),
                np.full(shape, customers),
                customers * mean + own,
                customers * mean**2 + 2 * mean * own + own_squared,
                customers * 7 + 2 * early,
                customers * 7**2 + 2 * 7 * 2 * early + 2**2 * early_squared,
                customers * mean * 7 + mean * 2 * early + 7 * own + 2 * product,
            )
        )
    return groups[0], groups[1]


def forget_before(group: Group) -> Group:
    return replace(group, before=0.0, before_squared=0.0, product=0.0)


def miss(found: Difference, truth: Any) -> float:
    """The share of campaigns whose interval misses the truth at any look."""
    return float(((found.low > truth) | (found.high < truth)).any(axis=1).mean())


def draw_one(seed: int) -> tuple[Group, Group]:
    """Two groups of one campaign, with everything known of each customer."""
    random = np.random.default_rng(seed)
    groups = []
    for customers in random.integers(LEAST, 400, 2):
        before = random.lognormal(3, 1, customers) * (random.random(customers) < 0.7)
        amount = (before * random.random(customers) + random.lognormal(2, 1, customers)) * (
            random.random(customers) < 0.5
        )
        sums = [float(each.sum()) for each in (amount, amount**2, before, before**2, amount * before)]
        groups.append(Group(int(customers), int((amount > 0).sum()), *sums))
    return groups[0], groups[1]


@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize(
    ("rates", "nightly"),
    [
        ((0.01, 0.01), 200),
        ((0.01, 0.01), 2_000),
        ((0.05, 0.05), 20),
        ((0.05, 0.05), 2_000),
        ((0.2, 0.2), 20),
        ((0.2, 0.2), 200),
        ((0.4, 0.4), 200),
        ((0.02, 0.01), 500),
        ((0.01, 0.02), 500),
    ],
)
def test_intervals_of_rates_hold_the_truth_at_all_looks(rates: tuple[float, float], nightly: int, share: float) -> None:
    found = bound_conversion(*convert(1, rates, share, nightly, 80))
    assert miss(found, rates[0] - rates[1]) <= ALPHA


def test_intervals_of_rates_hold_where_hardly_anybody_converts_and_hardly_anybody_is_held_out() -> None:
    for rate, nightly in ((0.0003, 2_000), (0.001, 2_000), (0.001, 50_000)):
        assert miss(bound_conversion(*convert(2, (rate, rate), 0.05, nightly, 80)), 0.0) <= ALPHA


@pytest.mark.parametrize(
    ("share", "rates", "nightly", "spread"),
    [
        # In these three the interval of Welch's standard error alone misses in 9, 17 and 15 % of campaigns.
        (0.1, (0.05, 0.05), 200, 1.5),
        (0.05, (0.05, 0.05), 400, 1.5),
        (0.1, (0.01, 0.01), 1_000, 1.0),
        (0.1, (0.06, 0.05), 200, 1.0),
        (0.1, (0.2, 0.2), 50, 1.0),
        (0.5, (0.05, 0.05), 200, 1.0),
        (0.5, (0.2, 0.24), 50, 1.5),
    ],
)
def test_intervals_of_amounts_hold_the_truth_at_all_looks_with_and_without_what_was_spent_before(
    share: float, rates: tuple[float, float], nightly: int, spread: float
) -> None:
    treated, held_out = spend(3, rates, share, nightly, spread, correlation=0.8)
    truth = mean_spent(rates[0], spread) - mean_spent(rates[1], spread)
    assert miss(bound_amount(treated, held_out), truth) <= ALPHA
    assert miss(bound_amount(forget_before(treated), forget_before(held_out)), truth) <= ALPHA


@pytest.mark.parametrize("correlation", [0.0, 0.7])
@pytest.mark.parametrize("sizes", [(90, 10), (50, 50)])
def test_intervals_of_plain_amounts_hold_the_truth_at_all_looks(sizes: tuple[int, int], correlation: float) -> None:
    found = bound_amount(*spend_normally(4, 0.02, sizes, 100, correlation))
    assert miss(found, 0.02) <= ALPHA
    # An interval that never missed would be wider than it need be.
    assert miss(found, 0.02) >= ALPHA / 10


@pytest.mark.parametrize(("customers", "share", "rate"), [(20_000, 0.1, 0.005), (20_000, 0.5, 0.002)])
def test_intervals_hold_for_customers_who_are_there_from_the_start_and_whose_amounts_grow(
    customers: int, share: float, rate: float
) -> None:
    random, nights = np.random.default_rng(5), 60
    spent, converted = [], []
    for size in (round(customers * (1 - share)), round(customers * share)):
        # How many buy each night; who bought may buy again.
        buys = random.poisson(size * rate, (CAMPAIGNS, nights))
        ends = np.cumsum(buys.ravel())
        amounts = random.lognormal(0, 1, int(ends[-1]))
        running = [np.concatenate([[0.0], np.cumsum(each)]) for each in (amounts, amounts**2)]
        total, squared = (
            np.cumsum((each[ends] - each[ends - buys.ravel()]).reshape(buys.shape), 1) for each in running
        )
        # Two purchases of one customer add twice their product to the squares: so many pairs are one customer's.
        squared = squared + (total**2 - squared) / size
        spent.append(Group(np.full(buys.shape, size), np.cumsum(buys, axis=1), total, squared))
        left, first = np.full(CAMPAIGNS, size), []
        for _ in range(nights):
            left = left - random.binomial(left, rate)
            first.append(size - left)
        converted.append(Group(np.full(buys.shape, size), np.stack(first, axis=1)))
    assert miss(bound_amount(*spent), 0.0) <= ALPHA
    assert miss(bound_conversion(*converted), 0.0) <= ALPHA


def test_intervals_of_a_single_look_do_not_hold_at_many() -> None:
    """The reason for all this."""
    treated, held_out = convert(6, (0.2, 0.2), 0.5, 200, 60)
    missed = 0
    for campaign in range(200):
        found = [
            newcombe(
                *(
                    Group(int(group.customers[campaign, night]), int(group.conversions[campaign, night]))
                    for group in pair
                )
            )
            for night in range(60)
            for pair in [(treated, held_out)]
        ]
        missed += any(look.low > 0 or look.high < 0 for look in found)
    assert missed > 4 * ALPHA * 200


@pytest.mark.parametrize("cost", [0.0, 0.1])
@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_at_most_one_campaign_of_twenty_that_does_not_pay_is_ever_found_worth_it(
    cost: float, correlation: float
) -> None:
    """Nor one of twenty found not worth it: what they bring is just what they cost."""
    treated, held_out = spend(7, (0.05, 0.05), 0.1, 200, 1.5, correlation)
    # All treated customers spend the cost more.
    squared = treated.amount_squared + 2 * cost * treated.amount + cost**2 * treated.customers
    product = treated.product + cost * treated.before
    amount = treated.amount + cost * treated.customers
    found = bound_amount(replace(treated, amount=amount, amount_squared=squared, product=product), held_out)
    verdicts = [
        {
            judge(Difference(*look), None, cost, has_amounts=True)
            for look in zip(*(getattr(found, field.name)[campaign] for field in fields(found)), strict=True)
        }
        for campaign in range(CAMPAIGNS)
    ]
    assert sum("worth_it" in each for each in verdicts) <= ALPHA * CAMPAIGNS
    assert sum(each != {"too_small"} for each in verdicts) <= ALPHA * CAMPAIGNS


def cross(standard: float, step: float, looks: int, spread: float = 1.0) -> Any:
    """The chance that Brownian motion with a drift has crossed Robbins' boundary by each of many looks.

    The density of what has not crossed yet is carried from look to look on a grid (Armitage, McPherson and Rowe 1969,
    "Repeated significance tests on accumulating data", Journal of the Royal Statistical Society A 132, 235-244).

    Args:
        standard: The effect in standard deviations of a customer.
        step: What the two groups are worth more at each look, in customers.
        looks: How many there are.
        spread: The variance that the difference has, as a multiple of that by which it is judged.
    """
    tightest = -lambertw(-(ALPHA**2) / e, -1).real - 1
    rho = (1 + tightest) / SOUGHT**2 / tightest
    times = step * np.arange(1, looks + 1)
    boundary = np.sqrt((times + rho) * np.log((times + rho) / (rho * ALPHA**2)))
    deviation = (spread * step) ** 0.5
    spacing = deviation / 10
    grid = np.arange(-4 * times[-1] ** 0.5, boundary[-1] + 5 * deviation, spacing)
    move = norm.pdf(grid[:, None] - grid[None], standard * step, deviation) * spacing
    density, crossed = norm.pdf(grid, standard * step, deviation), []
    for edge in boundary:
        # The cell in which the boundary lies has crossed in part.
        beyond = np.clip((grid - edge) / spacing + 0.5, 0, 1)
        crossed.append(float((density * beyond).sum() * spacing))
        density = move @ (density * (1 - beyond))
    return np.cumsum(crossed)


def find_first(low: Any) -> Any:
    """The share of campaigns whose interval lay above zero at any look up to each."""
    return np.maximum.accumulate(low > 0, axis=1).mean(axis=0)


def find_median(crossed: Any) -> float:
    """After how many looks half of the campaigns have crossed."""
    return float(np.interp(0.5, crossed, np.arange(1, len(crossed) + 1)))


@pytest.mark.parametrize(("sizes", "correlation"), [((150, 150), 0.0), ((720, 80), 0.0), ((150, 150), 0.6)])
def test_an_effect_on_amounts_is_found_as_fast_as_theory_says(sizes: tuple[int, int], correlation: float) -> None:
    """Half have found it before the mean path meets the boundary: each has had many looks by chance above its mean."""
    deviation = (1 - correlation**2) ** 0.5
    step, effect, looks = sizes[0] * sizes[1] / sum(sizes), SOUGHT * deviation, 80
    found = bound_amount(*spend_normally(8, effect, sizes, looks, correlation))
    expected, first = cross(SOUGHT, step, looks), find_first(found.low)
    assert find_median(first) == pytest.approx(find_median(expected), rel=0.05)
    assert np.abs(first - expected).max() < 0.04
    # Where the mean path meets the boundary, every other interval of that very look lies above zero.
    customers = expected_customers(effect, deviation, sizes[1] / sum(sizes))
    met = customers / sum(sizes)
    shares = (found.low > 0).mean(axis=0)
    assert np.interp(met, np.arange(1, looks + 1), shares) == pytest.approx(0.5, abs=0.04)
    assert 0.75 * met < find_median(first) < met


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_an_effect_on_conversions_is_found_as_fast_as_theory_says(share: float) -> None:
    """Rates are judged by the variance that they would have if the campaign did nothing, as by a score test."""
    rates, nightly, looks = (0.06, 0.05), round(100 / (share * (1 - share))), 80
    found = bound_conversion(*convert(9, rates, share, nightly, looks))
    rate = rates[0] * (1 - share) + rates[1] * share
    judged = rate * (1 - rate)
    variance = rates[0] * (1 - rates[0]) * share + rates[1] * (1 - rates[1]) * (1 - share)
    effect = (rates[0] - rates[1]) / judged**0.5
    expected, first = cross(effect, 100, looks, variance / judged), find_first(found.low)
    assert find_median(first) == pytest.approx(find_median(expected), rel=0.05)
    assert np.abs(first - expected).max() < 0.05


def test_an_effect_on_amounts_of_which_most_are_zero_is_found_as_fast_as_theory_says() -> None:
    """Amounts are judged by the variance within both groups together, which is mostly that of the treated."""
    rates, share, nightly, spread = (0.07, 0.05), 0.2, 400, 1.0
    groups = spend(11, rates, share, nightly, spread)
    first = find_first(bound_amount(*(forget_before(group) for group in groups)).low)
    # The variance of each group, from all of its customers in all campaigns.
    own, other = (
        group.amount_squared[:, -1].sum() / group.customers[:, -1].sum() - mean_spent(rate, spread) ** 2
        for group, rate in zip(groups, rates, strict=True)
    )
    judged, variance = own * (1 - share) + other * share, own * share + other * (1 - share)
    effect = (mean_spent(rates[0], spread) - mean_spent(rates[1], spread)) / judged**0.5
    expected = cross(effect, nightly * share * (1 - share), first.size, variance / judged)
    assert find_median(first) == pytest.approx(find_median(expected), rel=0.05)
    assert np.abs(first - expected).max() < 0.05


@given(st.floats(0.001, 0.5), st.floats(0.05, 0.5), st.sampled_from([0.01, ALPHA, 0.2]))
@settings(max_examples=50, deadline=None)
def test_the_mean_path_meets_the_boundary_where_it_is_said_to(standard: float, share: float, alpha: float) -> None:
    customers = expected_customers(-7 * standard, 7, share, alpha)
    size = customers * share * (1 - share)
    assert standard * size**0.5 == pytest.approx(float(reach(size, alpha)), rel=1e-6)


@pytest.mark.parametrize("alpha", [0.01, ALPHA, 0.2])
def test_the_boundary_is_tightest_where_it_finds_the_effect_that_is_sought(alpha: float) -> None:
    time = find_tightest(alpha)
    assert time == pytest.approx(-lambertw(-(alpha**2) / e, -1).real - 1)
    # The paper's approximation.
    assert time == pytest.approx(-2 * log(alpha) + log(1 - 2 * log(alpha)), rel=0.08)
    best = (1 + time) / SOUGHT**2
    assert reach(best, alpha) == pytest.approx((1 + time) ** 0.5)
    assert reach(best, alpha) < min(reach(0.99 * best, alpha), reach(1.01 * best, alpha))
    assert expected_customers(SOUGHT, 1, 0.5, alpha) == pytest.approx(4 * best)


def test_away_from_there_it_is_not_much_wider() -> None:
    best = (1 + find_tightest()) / SOUGHT**2
    assert reach(best) == pytest.approx(3.035, abs=0.001)
    wider = reach(best * np.array([0.1, 10, 100])) / reach(best)
    assert wider == pytest.approx([1.26, 1.07, 1.18], abs=0.005)


@pytest.mark.parametrize("correlation", [0.3, 0.6, -0.9])
def test_what_was_spent_before_narrows_the_interval_as_theory_says(correlation: float) -> None:
    treated, held_out = spend_normally(10, 0.1, (900, 300), 10, correlation, campaigns=5)
    found, plain = (
        bound_amount(*pair) for pair in ((treated, held_out), (forget_before(treated), forget_before(held_out)))
    )
    narrowed = ((found.high - found.low) / (plain.high - plain.low))[:, -1] ** 2
    assert narrowed.mean() == pytest.approx(1 - correlation**2, rel=0.05)


@given(st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_what_was_spent_before_never_widens_the_interval(seed: int) -> None:
    treated, held_out = draw_one(seed)
    found, plain = compare_amount(treated, held_out), compare_amount(forget_before(treated), forget_before(held_out))
    assert (found is None) == (plain is None)
    if found and plain:
        assert found.high - found.low <= (plain.high - plain.low) * (1 + 1e-12)


@given(st.integers(0, 10**6), st.floats(1e-3, 1e5), st.floats(1e-3, 1e5))
@settings(max_examples=60, deadline=None)
def test_another_currency_is_another_unit_of_the_interval_and_nothing_else(
    seed: int, rate: float, other: float
) -> None:
    groups = draw_one(seed)
    scaled = [
        Group(
            *(group.customers, group.conversions, rate * group.amount, rate**2 * group.amount_squared),
            *(other * group.before, other**2 * group.before_squared, rate * other * group.product),
        )
        for group in groups
    ]
    for compare in (compare_amount, welch):
        found, expected = compare(scaled[0], scaled[1]), compare(*groups)
        assert (found is None) == (expected is None)
        if found and expected:
            wanted = [rate * each for each in (expected.estimate, expected.low, expected.high)]
            tolerance = 1e-9 * (wanted[2] - wanted[1])
            assert [found.estimate, found.low, found.high] == pytest.approx(wanted, rel=1e-9, abs=tolerance)


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_groups_that_change_places_turn_the_interval_round(seed: int) -> None:
    treated, held_out = draw_one(seed)
    for compare in (compare_amount, compare_conversion, newcombe, welch):
        one, other = compare(treated, held_out), compare(held_out, treated)
        assert (one is None) == (other is None)
        if one and other:
            assert [one.estimate, one.low, one.high] == pytest.approx([-other.estimate, -other.high, -other.low])
            assert one.low < one.estimate < one.high


@pytest.mark.parametrize(
    ("treated", "held_out", "low", "high"),
    [
        # The examples of Newcombe's paper, table II.
        (Group(70, 56), Group(80, 48), 0.0524, 0.3339),
        (Group(10, 9), Group(10, 3), 0.1705, 0.8090),
        (Group(10, 10), Group(10, 0), 0.6075, 1.0000),
        (Group(10, 0), Group(20, 0), -0.1611, 0.2775),
    ],
)
def test_the_interval_of_rates_at_a_single_look_is_newcombes(
    treated: Group, held_out: Group, low: float, high: float
) -> None:
    found = newcombe(treated, held_out)
    assert [found.low, found.high] == pytest.approx([low, high], abs=5e-5)


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_interval_of_amounts_at_a_single_look_is_welchs(seed: int) -> None:
    random = np.random.default_rng(seed)
    amounts = [random.lognormal(1, 1, random.integers(2, 50)) for _ in range(2)]
    groups = [Group(len(each), len(each), float(each.sum()), float((each**2).sum())) for each in amounts]
    expected = ttest_ind(*amounts, equal_var=False).confidence_interval()
    found = welch(groups[0], groups[1])
    assert [found.low, found.high] == pytest.approx([expected.low, expected.high], rel=1e-6)
    assert found.estimate == pytest.approx(amounts[0].mean() - amounts[1].mean())


def test_an_interval_for_all_looks_is_that_of_one_look_only_wider() -> None:
    treated, held_out = Group(90_000, 9_000, 9e5, 1.8e7), Group(10_000, 1_000, 1e5, 2e6)
    wider = reach(9_000) / NormalDist().inv_cdf(1 - ALPHA / 2)
    for one, many in (
        (newcombe(treated, held_out), compare_conversion(treated, held_out)),
        (welch(treated, held_out), compare_amount(treated, held_out)),
    ):
        assert many is not None
        assert many.estimate == one.estimate
        assert (many.high - many.low) / (one.high - one.low) == pytest.approx(wider, rel=0.02)


def test_nothing_is_said_of_too_little() -> None:
    many = Group(10_000, 500, 5_000.0, 1e5)
    assert compare_conversion(many, Group(LEAST, 0))
    assert compare_conversion(many, Group(LEAST - 1, 0)) is None
    assert compare_conversion(Group(10_000, 5), Group(1_000, LEAST - 6)) is None
    assert compare_conversion(Group(10_000, 5), Group(1_000, LEAST - 5))
    assert compare_conversion(Group(0, 0), Group(0, 0)) is None
    assert compare_amount(many, Group(LEAST, 0))
    assert compare_amount(many, Group(LEAST - 1, 0)) is None
    # One customer spent nearly all.
    assert compare_amount(Group(10_000, 50, 1_050.0, 1e6 + 50), Group(1_000, 5, 5.0, 5.0)) is None
    # Nobody spent anything, or all the same: that they always will is not for sure.
    assert compare_amount(Group(100, 0), Group(100, 0)) is None
    assert compare_amount(Group(100, 100, 100 * 0.1, 100 * 0.1**2), Group(50, 50, 50 * 0.1, 50 * 0.1**2)) is None
    assert welch(Group(100, 100, 300.0, 900.0), Group(50, 50, 100.0, 200.0)) == Difference(1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("amount", "conversion", "has_amounts", "verdict"),
    [
        ((2.5, 2.1, 2.9), None, True, "worth_it"),
        ((1.5, 1.1, 1.9), (0.1, 0.05, 0.15), True, "not_worth_it"),
        # More than nothing, but perhaps less than it costs.
        ((2.5, 1.9, 2.9), (0.1, 0.05, 0.15), True, "too_small"),
        ((2.5, 2.0, 3.0), None, True, "too_small"),
        ((1.5, 1.0, 2.0), None, True, "too_small"),
        (None, (0.1, 0.05, 0.15), True, "too_small"),
        (None, (0.1, 0.05, 0.15), False, "worth_it"),
        (None, (-0.1, -0.15, -0.05), False, "not_worth_it"),
        ((2.5, 2.1, 2.9), (0.1, -0.05, 0.15), False, "too_small"),
        ((2.5, 2.1, 2.9), None, False, "too_small"),
    ],
)
def test_a_campaign_pays_where_all_of_the_interval_is_above_what_it_costs(
    amount: Any, conversion: Any, has_amounts: bool, verdict: str
) -> None:
    found = [each and Difference(*each) for each in (amount, conversion)]
    assert judge(found[0], found[1], 2.0, has_amounts=has_amounts) == verdict


def grow(group: Group, factor: float) -> Group:
    return Group(*(getattr(group, field.name) * factor for field in fields(group)))


@pytest.mark.parametrize("has_amounts", [True, False])
@pytest.mark.parametrize("threshold", [0.0, 0.005])
def test_so_many_more_customers_leave_out_the_threshold_and_fewer_do_not(threshold: float, has_amounts: bool) -> None:
    # Amounts of 1 for everybody who converts, so that both are the same number.
    treated, held_out = Group(9_000, 560, 560.0, 560.0), Group(1_000, 50, 50.0, 50.0)
    bound = bound_amount if has_amounts else bound_conversion
    more = customers_needed(treated, held_out, threshold, has_amounts=has_amounts)
    for part, is_found in ((1.0, True), (0.99, False)):
        found = bound(*(grow(group, 1 + part * more / 10_000) for group in (treated, held_out)))
        assert bool(found.low > threshold) == is_found
    estimate = 560 / 9_000 - 50 / 1_000
    # Both groups together: their variance is that of amounts.
    variance = 560 / 9_000 * (1 - 560 / 9_000) * 0.9 + 0.05 * 0.95 * 0.1
    expected = expected_customers(estimate - threshold, variance**0.5, 0.1) - 10_000
    assert more == pytest.approx(expected, rel=0.02 if has_amounts else 0.25)


def test_no_more_customers_are_needed_where_the_threshold_is_left_out() -> None:
    treated, held_out = Group(9_000, 900), Group(1_000, 20)
    assert customers_needed(treated, held_out, 0.0, has_amounts=False) == 0
    assert customers_needed(treated, held_out, 0.079, has_amounts=False) > 0


@pytest.mark.parametrize(
    ("treated", "held_out"),
    [
        (Group(900, 90), Group(100, 10)),
        (Group(900, 0), Group(100, 0)),
    ],
)
def test_there_is_an_end_to_waiting(treated: Group, held_out: Group) -> None:
    most = expected_customers(SMALLEST, 1.0, 0.1)
    for has_amounts in (True, False):
        needed = customers_needed(treated, held_out, 0.0, has_amounts=has_amounts)
        assert needed == pytest.approx(most, abs=1)
    assert customers_needed(Group(0, 0), Group(0, 0), 0.0, has_amounts=False) > 0
