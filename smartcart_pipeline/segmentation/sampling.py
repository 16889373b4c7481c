"""Sampling: the same customers for the same seed, whatever the order of rows and the engine."""

import narwhals as nw
from narwhals.typing import FrameT

# A prime below 2**31, so that products of two remainders fit 64 bits; the multiplier of Park and Miller (1988).
PRIME = 2_147_483_647
MULTIPLIER = 48_271
INCREMENT = 1_000_003


def sample_customers(frame: FrameT, customers: int, seed: int) -> FrameT:
    """Draw customers by a hash of their id.

    Args:
        frame: Rows with `customer_id`, one a customer.
        customers: At most how many to draw; all are kept where there are no more.
        seed: Another seed draws others.

    Returns:
        The drawn rows, in order of `customer_id`.
    """
    return (
        frame.with_columns(_scramble(seed).alias("draw"))
        .sort("draw", "customer_id")
        .head(customers)
        .drop("draw")
        .sort("customer_id")
    )


def sample_places(features: FrameT, points: FrameT, customers: int, seed: int) -> FrameT:
    """Draw customers with what describes them and where they lie.

    Args:
        features: Customers from `describe_customers`.
        points: The same customers on the components.
        customers: At most how many to draw.
        seed: Another seed draws others.

    Returns:
        The columns of both, in order of `customer_id`.
    """
    drawn = sample_customers(features, customers, seed)
    return drawn.join(points, on="customer_id", how="inner").sort("customer_id")


def _scramble(seed: int) -> nw.Expr:
    """A number from 0 to `PRIME` that looks random, from an id and a seed (Int64)."""
    # A line spreads neighbouring ids apart, its square takes away the line's pattern.
    spread = (nw.col("customer_id") % PRIME * MULTIPLIER + (seed + 1) * INCREMENT) % PRIME
    return (spread * spread % PRIME) * MULTIPLIER % PRIME
