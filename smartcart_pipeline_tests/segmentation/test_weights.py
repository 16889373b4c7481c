"""Each feature weighs once, whatever it is made of: factor analysis of mixed data says the same (Pagès 2004)."""

from dataclasses import replace

import numpy as np
import pandas as pd
import prince
import pytest

from smartcart_pipeline.declaration.recipe import Business, Feature, Recipe, Regroup
from smartcart_pipeline.segmentation.noise import place
from smartcart_pipeline.segmentation.structure import stand_apart
from smartcart_pipeline_tests.declared import BEHAVIOURAL

KNOWN = BEHAVIOURAL.recipe.by_name


def in_groups(name: str, *groups: str) -> Feature:
    words = KNOWN["age"].words
    into = tuple((group, (group,)) for group in groups[:-1])
    return Feature(name, Regroup(name, into, groups[-1]), words, levels=dict.fromkeys(groups, words))


def mixed(seed: int, customers: int = 300) -> pd.DataFrame:
    """Two numbers and two categories of two groups, which go together."""
    random = np.random.default_rng(seed)
    taste = random.normal(size=customers)
    return pd.DataFrame(
        {
            "age": 50 + 10 * taste + random.normal(0, 5, customers),
            "income": np.exp(random.normal(size=customers) + taste / 2),
            "tenancy": np.where(random.normal(size=customers) + taste > 0.3, "owns", "rents"),
            "pet": np.where(random.normal(size=customers) - taste > 0.8, "cat", "none"),
        }
    )


@pytest.mark.parametrize("seed", range(5))
def test_numbers_and_categories_of_two_groups_lie_where_famd_puts_them(seed: int) -> None:
    frame = mixed(seed)
    features = (KNOWN["age"], KNOWN["income"], in_groups("tenancy", "owns", "rents"), in_groups("pet", "cat", "none"))
    recipe = Recipe("mixed", features, Business())
    columns = [
        frame[column.source] if column.category is None else (frame[column.source] == column.category).astype(float)
        for column in recipe.encoded
    ]
    space = stand_apart(np.column_stack(columns), recipe)
    points = place(space.values)
    fitted = prince.FAMD(n_components=3, random_state=1).fit(frame)
    expected = fitted.row_coordinates(frame).to_numpy()
    explained = points.var(axis=0) / space.values.var(axis=0).sum()
    assert explained == pytest.approx(fitted.eigenvalues_ / fitted.total_inertia_, abs=1e-9)
    signs = np.sign((points * expected).sum(axis=0))
    assert points == pytest.approx(expected * signs, abs=1e-6)


def test_a_category_weighs_once_however_many_groups_it_has() -> None:
    many = in_groups("pet", "cat", "none")
    assert sum(factor**2 for factor in Recipe("x", (many,), Business()).factors) == pytest.approx(1.0)
    three = replace(many, verb=Regroup("pet", (("cat", ("cat",)), ("dog", ("dog",))), "none"))
    assert sum(factor**2 for factor in Recipe("x", (three,), Business()).factors) == pytest.approx(1.0)
