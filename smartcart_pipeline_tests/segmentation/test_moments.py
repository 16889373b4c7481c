"""Moments are exact for what an export holds, and so do not depend on who came first."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartcart_pipeline.segmentation.moments import sum_moments


def test_moments_are_the_sums_of_values_and_of_products():
    moments = sum_moments([np.array([[1.0, 2.0]]), np.array([[3.0, 4.5], [5.0, 0.0]])], ("a", "b"))
    assert (moments.features, moments.customers) == (("a", "b"), 3)
    assert moments.sums == (9, Fraction(13, 2))
    assert moments.products == ((35, Fraction(31, 2)), (Fraction(31, 2), Fraction(97, 4)))
    assert moments.means.tolist() == [3.0, 6.5 / 3]
    assert moments.covariances == pytest.approx(np.cov([[1, 3, 5], [2, 4.5, 0]], ddof=0))


def test_nobody_has_no_moments():
    moments = sum_moments([], ("a",))
    assert (moments.customers, moments.sums, moments.products) == (0, (0,), ((0,),))


@given(seed=st.integers(0, 1_000), batch=st.sampled_from([7, 4_096, 9_000]))
@settings(max_examples=20, deadline=None)
def test_order_and_batches_change_not_a_bit(seed: int, batch: int):
    random = np.random.default_rng(seed)
    values = np.column_stack([random.integers(0, 1_400_000, 9_000) / 2, random.integers(0, 2, 9_000)])
    shuffled = random.permutation(values)
    in_one = sum_moments([values], ("income", "complain"))
    assert in_one == sum_moments((shuffled[i : i + batch] for i in range(0, 9_000, batch)), ("income", "complain"))
    doubled = (2 * values).astype(object).astype(int).astype(object)
    assert in_one.products[0][0] == Fraction(int((doubled[:, 0] ** 2).sum()), 4)


def test_a_large_mean_hides_no_variance():
    """Where sums of squares lose all digits to a mean far from zero, exact ones do not."""
    values = 600_000 + np.array([[0.0], [0.5], [1.0]]).repeat(100_000, axis=0)
    moments = sum_moments([values], ("income",))
    assert moments.covariances[0, 0] == pytest.approx(values.var(), rel=1e-12)


def test_what_rounding_takes_from_a_long_sum_is_given_back():
    """Squares of two hundred thousand incomes add up to more digits than a float has."""
    incomes = np.random.default_rng(1).integers(0, 1_400_000, 200_000) / 2
    moments = sum_moments([incomes[:, None]], ("income",))
    doubled = [int(income * 2) for income in incomes]
    assert moments.sums == (Fraction(sum(doubled), 2),)
    assert moments.products == ((Fraction(sum(each * each for each in doubled), 4),),)
