"""Whether a campaign pays, from customers who got it and customers who by lot did not.

People look every night and stop when they like what they see, so that a 95 % interval of a single look misleads: far
more often than in one campaign of twenty it shows, some night, an effect that is not there. The intervals here hold the
truth at all looks together, from the first to whichever is the last, with 95 % probability.

They are asymptotic confidence sequences (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central
limit theory and asymptotic confidence sequences", Annals of Statistics 52, 2613-2640). The difference of two means,
times its information (one over its squared standard error), moves as Brownian motion does whose time is the
information, so that Robbins' normal mixture bounds it for all time: `reach` has the formula. Information is counted in
customers: t treated and h held out are worth t h / (t + h), whatever the unit of the amounts.

Two things make it hold for groups that are small, or of very unequal sizes, where in simulations its plain form said of
up to one campaign in five without effect that it pays. A small group that by chance has few who spend much has a low
mean and a low variance at once, so its own variance must not be all that speaks for it (`bound_amount`); and rates get
Wilson's bounds, which do not collapse where hardly anybody converted (`bound_conversion`).

All this is for customers who come night after night and count once what they did is settled. It also holds for those
who are all there on the first night and whose amounts grow, for some sixty nights: no more customers come, so that an
interval reaches equally many standard errors every night, at least 3.03, and independent purchases seldom lead so far
away while their variance grows sixtyfold. The truth is then that night's.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from math import ceil, log, log1p
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

# How often the intervals of a campaign may miss the truth at any of all looks.
ALPHA = 0.05
# The effect for which the intervals are made, in standard deviations of a customer. Where one in twenty buys it is two
# in a hundred more; where customers' amounts vary by four times their mean, it is two fifths of the mean.
SOUGHT = 0.1
# The smallest effect that is worth waiting for, likewise.
SMALLEST = SOUGHT / 20
# Nothing is said of fewer customers in a group, or fewer of both groups who did anything.
LEAST = 10
# A sum of squares about the mean that is a smaller part than this of the sum of squares is rounding.
ROUNDING = 1e-9
# Steps in which a fixed point is found, and halvings of a range: more than a double has digits.
STEPS, HALVINGS = 30, 60

Verdict = Literal["worth_it", "not_worth_it", "too_small"]
# A number, or an array of numbers of many campaigns or nights at once.
Number = Any


@dataclass(frozen=True)
class Group:
    """Sums over the customers of a group; arrays of one shape, for many campaigns or nights at once, do as well.

    Attributes:
        customers: How many there are.
        conversions: How many of them converted.
        amount: What they spent since the campaign, in currency, extremes moved in already.
        amount_squared: The squares of it, in currency squared.
        before: What they had spent before they were drawn, in any unit; what came later would bias.
        before_squared: The squares of it.
        product: Each customer's amount times what they had spent before.
    """

    customers: Number
    conversions: Number
    amount: Number = 0.0
    amount_squared: Number = 0.0
    before: Number = 0.0
    before_squared: Number = 0.0
    product: Number = 0.0


@dataclass(frozen=True)
class Difference:
    """What the campaign did for each customer: the mean of the treated minus that of the held out.

    Attributes:
        estimate: The difference, as a share of customers or in currency.
        low: Lower bound of its 95 % interval.
        high: Upper bound.
    """

    estimate: Number
    low: Number
    high: Number


def find_tightest(alpha: float = ALPHA) -> float:
    """When Robbins' boundary is tightest in standard errors, in the time of which its mixture's parameter is one.

    There the derivative of its square, (1 + 1 / t) log((1 + t) / alpha^2), is zero, which makes log((1 + t) / alpha^2)
    equal t. This is t = -W(-alpha^2 / e) - 1 with the lower branch of Lambert's function, as in the paper.

    Args:
        alpha: How often the truth may be missed.

    Returns:
        The time; there the boundary is the root of 1 + t standard errors away.
    """
    time = -2 * log(alpha)
    for _ in range(STEPS):
        # The slope is 1 / (1 + t), about a tenth.
        time = log1p(time) - 2 * log(alpha)
    return time


def reach(size: Number, alpha: float = ALPHA) -> Number:
    """How many standard errors an interval that holds at all looks together extends to either side.

    For information I and the mixture's parameter rho it is the root of (1 + rho / I) log((1 + I / rho) / alpha^2). The
    answer may depend on no currency, so both are counted in customers. Rho must be set before anything is seen: it is
    such that the boundary is tightest at the size at which it finds an effect of `SOUGHT`, n = (1 + t) / `SOUGHT`^2
    with the t of `find_tightest`, hence n / t. At a tenth, ten times and a hundred times this size an interval is 1.26,
    1.07 and 1.18 times as wide as one made for just this size would be.

    Args:
        size: What two groups are worth, in customers, any shape.
        alpha: How often the truth may be missed.

    Returns:
        Standard errors, of the same shape; at the best size about 3.03, beside 1.96 for a single look.
    """
    rho = (1 + 1 / find_tightest(alpha)) / SOUGHT**2
    time = size / rho
    return np.sqrt((1 + 1 / time) * (np.log1p(time) - 2 * log(alpha)))


def bound_conversion(treated: Group, held_out: Group) -> Difference:
    """The difference of two conversion rates at each of many looks; see `compare_conversion`.

    Newcombe's interval is made of Wilson's bounds of the two rates, which are those rates that are just so many
    standard errors by their own variance away from what was seen. As many as `reach` says instead of 1.96 let it hold
    at all looks; for many customers it is the interval of the paper. As by a score test, a small group that is held out
    is judged by the variance that it had if the campaign did nothing: where this is greater, because the campaign made
    more customers convert, an effect is found later by as much.

    Args:
        treated: Sums of those who got the campaign.
        held_out: Sums of those who did not.

    Returns:
        The difference, NaN where there is too little to say anything.
    """
    found = _score(treated, held_out, reach(_size(treated, held_out)))
    is_little = _are_few(treated, held_out) | (np.asarray(treated.conversions) + held_out.conversions < LEAST)
    return _keep(found, ~is_little)


def compare_conversion(treated: Group, held_out: Group) -> Difference | None:
    """The difference of the two conversion rates, with an interval that holds at all looks together.

    Args:
        treated: Sums of those who got the campaign.
        held_out: Sums of those who did not.

    Returns:
        The difference, -1 to 1; None as long as a group has fewer than `LEAST` customers or both together have fewer
        conversions.
    """
    return _or_none(bound_conversion(treated, held_out))


def bound_amount(treated: Group, held_out: Group) -> Difference:
    """The difference of two mean amounts at each of many looks; see `compare_amount`.

    The standard error is the greater of two: Welch's, of each group's own variance, and that of the variance within
    both groups together, which saves a small group from its own low variance where by chance nobody in it spends much.
    They agree if the campaign leaves the variance alone. If it raises it, the second is greater, and an effect is found
    later. If it lowers it far, say to a quarter by halving what is spent, nothing saves a small group that is held out:
    such intervals miss more often than they may, by making the harm too small, though not by making it a gain.

    Where it narrows the interval, customers are compared beyond what their spending before the campaign foretells
    (CUPED: Deng, Xu, Kohavi and Walker 2013, "Improving the sensitivity of online controlled experiments by utilizing
    pre-experiment data"): with a correlation of r, the variance is 1 - r^2 of what it was.

    Args:
        treated: Sums of those who got the campaign.
        held_out: Sums of those who did not.

    Returns:
        The difference, NaN where there is too little to say anything.
    """
    plain, variance = _subtract(treated, held_out, 0.0)
    adjusted, narrower = _subtract(treated, held_out, _regress(treated, held_out))
    is_narrower = narrower < variance
    estimate = np.where(is_narrower, adjusted, plain)
    margin = reach(_size(treated, held_out)) * np.sqrt(np.where(is_narrower, narrower, variance))
    is_little = _are_few(treated, held_out) | (_count_spenders(treated, held_out) < LEAST) | (variance == 0)
    return _keep(Difference(estimate, estimate - margin, estimate + margin), ~is_little)


def compare_amount(treated: Group, held_out: Group) -> Difference | None:
    """The difference of the two mean amounts, with an interval that holds at all looks together.

    Args:
        treated: Sums of those who got the campaign.
        held_out: Sums of those who did not.

    Returns:
        The difference, in currency for each customer; None as long as a group has fewer than `LEAST` customers, or the
        amounts of both together are as uneven as if fewer had spent all, or all amounts are the same.
    """
    return _or_none(bound_amount(treated, held_out))


def newcombe(treated: Group, held_out: Group) -> Difference:
    """The difference of two conversion rates for a single look, at a time that was set beforehand.

    Newcombe 1998, "Interval estimation for the difference between independent proportions: comparison of eleven
    methods", Statistics in Medicine 17, 873-890, method 10.

    Args:
        treated: Sums of those who got the campaign, at least one customer.
        held_out: Sums of those who did not, at least one.

    Returns:
        The difference, -1 to 1.
    """
    return _plain(_score(treated, held_out, NormalDist().inv_cdf(1 - ALPHA / 2)))


def welch(treated: Group, held_out: Group) -> Difference:
    """The difference of two mean amounts for a single look, at a time that was set beforehand.

    Welch 1947, "The generalization of 'Student's' problem when several different population variances are involved",
    Biometrika 34, 28-35. What customers had spent before is not used.

    Args:
        treated: Sums of those who got the campaign, at least two customers.
        held_out: Sums of those who did not, at least two.

    Returns:
        The difference, in currency for each customer.
    """
    from scipy.special import stdtrit  # noqa: PLC0415

    groups = (treated, held_out)
    estimate = _average(treated.amount, treated) - _average(held_out.amount, held_out)
    squares = [_center(group.amount_squared, group.amount, group) / (group.customers - 1) for group in groups]
    parts = [square / group.customers for square, group in zip(squares, groups, strict=True)]
    if not sum(parts):
        return _plain(Difference(estimate, estimate, estimate))
    freedom = sum(parts) ** 2 / sum(part**2 / (group.customers - 1) for part, group in zip(parts, groups, strict=True))
    margin = stdtrit(freedom, 1 - ALPHA / 2) * np.sqrt(sum(parts))
    return _plain(Difference(estimate, estimate - margin, estimate + margin))


def judge(amount: Difference | None, conversion: Difference | None, cost: float, *, has_amounts: bool) -> Verdict:
    """Say whether the campaign pays, as far as is known.

    Args:
        amount: What `compare_amount` found.
        conversion: What `compare_conversion` found.
        cost: What the campaign costs for each treated customer, in the currency of the amounts.
        has_amounts: Whether customers' amounts are known: money decides then, and conversions against none otherwise.

    Returns:
        Whether all of the interval lies above what must be exceeded, or all of it below; neither is too small to tell.
    """
    found, threshold = (amount, cost) if has_amounts else (conversion, 0.0)
    if found is None:
        return "too_small"
    if found.low > threshold:
        return "worth_it"
    return "not_worth_it" if found.high < threshold else "too_small"


def customers_needed(treated: Group, held_out: Group, threshold: float, *, has_amounts: bool) -> int:
    """About how many more customers it takes until the interval leaves out a threshold.

    Those to come are taken to be as those who came, in the same split. So the number is as rough as the present
    estimate, which by chance may lie at the threshold or far from it.

    Args:
        treated: Sums of those who got the campaign.
        held_out: Sums of those who did not.
        threshold: What must be left out: the cost for each treated customer, or 0.
        has_amounts: Whether it is a threshold of amounts, in currency; otherwise it is one of conversion rates.

    Returns:
        Customers of both groups, 0 if the threshold is left out already. At most as many as find an effect of
        `SMALLEST`: so many are said where the estimate is as good as the threshold or nothing can be said of it.
    """
    bound = bound_amount if has_amounts else bound_conversion
    sizes = [max(group.customers, 1) for group in (treated, held_out)]
    customers: float = sum(sizes)
    most = expected_customers(SMALLEST, 1.0, sizes[1] / customers)

    def is_enough(total: float) -> bool:
        found = bound(*(_grow(group, total / customers) for group in (treated, held_out)))
        return bool((found.low > threshold) | (found.high < threshold))

    if is_enough(customers):
        return 0
    if not is_enough(customers + most):
        return ceil(most)
    return ceil(_halve(is_enough, customers, customers + most) - customers)


def expected_customers(effect: float, deviation: float, share: float, alpha: float = ALPHA) -> float:
    """How many customers it takes to find an effect: where it is as far from none as the interval reaches.

    At this size half of all campaigns have an interval that leaves out no effect; somewhat more had one before.

    Args:
        effect: The difference of the means that there is, of either sign but not 0.
        deviation: Standard deviation of all customers within the two groups, in the same unit.
        share: Which part of the customers is held out, between 0 and 1.
        alpha: How often the truth may be missed.

    Returns:
        Customers of both groups together.
    """
    standard = effect / deviation

    def is_enough(size: float) -> bool:
        return bool(standard**2 * size >= reach(size, alpha) ** 2)

    least = most = 1 / standard**2
    while not is_enough(most):
        most *= 2
    return _halve(is_enough, least, most) / (share * (1 - share))


def _halve(is_enough: Callable[[float], bool], low: float, high: float) -> float:
    """The least number between two that is enough, of which the high one is."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _grow(group: Group, factor: float) -> Group:
    return Group(*(getattr(group, field.name) * factor for field in fields(group)))


def _size(treated: Group, held_out: Group) -> Number:
    """What two groups are worth: as many customers beside a mean that is known would tell as much."""
    ours, theirs = (np.maximum(group.customers, 1.0) for group in (treated, held_out))
    return ours * theirs / (ours + theirs)


def _score(treated: Group, held_out: Group, errors: Number) -> Difference:
    """Newcombe's interval of so many standard errors."""
    own, (own_low, own_high) = _average(treated.conversions, treated), _wilson(treated, errors)
    other, (other_low, other_high) = _average(held_out.conversions, held_out), _wilson(held_out, errors)
    estimate = own - other
    low = estimate - np.hypot(own - own_low, other_high - other)
    return Difference(estimate, low, estimate + np.hypot(own_high - own, other - other_low))


def _wilson(group: Group, errors: Number) -> tuple[Number, Number]:
    """Wilson's bounds of a conversion rate (1927, Journal of the American Statistical Association 22, 209-212)."""
    customers, rate = np.maximum(group.customers, 1.0), _average(group.conversions, group)
    square = errors**2 / customers
    middle, half = rate + square / 2, np.sqrt(square * (rate * (1 - rate) + square / 4))
    return (middle - half) / (1 + square), (middle + half) / (1 + square)


def _subtract(treated: Group, held_out: Group, slope: Number) -> tuple[Number, Number]:
    """The difference of the mean amounts less a slope times what was spent before, and its squared standard error."""
    estimate, own, squares, degrees, weights = 0.0, 0.0, 0.0, 0.0, 0.0
    for group, sign in ((treated, 1), (held_out, -1)):
        customers, free = np.maximum(group.customers, 1.0), np.maximum(group.customers - 1.0, 1.0)
        estimate = estimate + sign * (_average(group.amount, group) - slope * _average(group.before, group))
        left = _center(group.amount_squared, group.amount, group)
        left = left - 2 * slope * _covary(group) + slope**2 * _center(group.before_squared, group.before, group)
        left = np.maximum(left, 0.0)
        own = own + left / free / customers
        squares, degrees, weights = squares + left, degrees + free, weights + 1 / customers
    return estimate, np.maximum(own, squares / degrees * weights)


def _regress(treated: Group, held_out: Group) -> Number:
    """The slope of the amounts in what was spent before, within the groups; 0 where nothing was."""
    squares = sum(_center(group.before_squared, group.before, group) for group in (treated, held_out))
    products = sum(_covary(group) for group in (treated, held_out))
    return np.where(squares > 0, products, 0.0) / np.where(squares > 0, squares, 1.0)


def _average(total: Number, group: Group) -> Number:
    return total / np.maximum(group.customers, 1.0)


def _center(squares: Number, total: Number, group: Group) -> Number:
    """The sum of squares about the mean."""
    about = squares - total * _average(total, group)
    return np.where(about > ROUNDING * squares, about, 0.0)


def _covary(group: Group) -> Number:
    return group.product - group.amount * _average(group.before, group)


def _count_spenders(treated: Group, held_out: Group) -> Number:
    """How many who spend alike would make amounts as uneven (Kish 1965, "Survey sampling")."""
    squares = np.asarray(treated.amount_squared) + held_out.amount_squared
    return (treated.amount + held_out.amount) ** 2 / np.where(squares > 0, squares, 1.0)


def _are_few(treated: Group, held_out: Group) -> Number:
    return np.minimum(treated.customers, held_out.customers) < LEAST


def _keep(found: Difference, is_enough: Number) -> Difference:
    return Difference(*(np.where(is_enough, each, np.nan) for each in (found.estimate, found.low, found.high)))


def _plain(found: Difference) -> Difference:
    return Difference(float(found.estimate), float(found.low), float(found.high))


def _or_none(found: Difference) -> Difference | None:
    return None if np.isnan(found.estimate) else _plain(found)
