"""Our silhouettes are scikit-learn's."""

import numpy as np
import pytest

from smartcart_pipeline.segmentation.silhouette import mean_silhouettes


@pytest.mark.parametrize("k", [2, 5, 60])
def test_silhouettes_equal_scikit_learns(k: int):
    from sklearn.metrics import silhouette_score

    random = np.random.default_rng(k)
    points = random.normal(size=(300, 3))
    points[0] = points[1]
    labelings = [random.integers(0, k, 300) for _ in range(3)]
    labelings[0][7] = k  # alone in a cluster
    expected = [silhouette_score(points, labels) for labels in labelings]
    assert mean_silhouettes(points, labelings) == pytest.approx(expected, abs=1e-12)


def test_customers_all_alike_have_a_silhouette_of_zero():
    assert mean_silhouettes(np.zeros((4, 3)), [np.array([0, 0, 1, 1])]) == [0.0]


def test_the_bits_do_not_depend_on_the_machines_cores():
    """Linear algebra that is shared among threads sums in another order."""
    from threadpoolctl import threadpool_limits

    random = np.random.default_rng(0)
    points = random.normal(size=(3_000, 17))
    labelings = [random.integers(0, k, len(points)) for k in (4, 5)]
    found = []
    for cores in (1, 2, 4):
        with threadpool_limits(cores):
            found.append(mean_silhouettes(points, labelings))
    assert found[0] == found[1] == found[2]
