"""Sampling: the same customers for the same seed, whatever the order of rows and the engine."""

import narwhals as nw
from narwhals.typing import FrameT

from smartcart_pipeline.segmentation.hands import Numbering

# A prime below 2**31, so that products of two remainders fit 64 bits; the multiplier of Park and Miller (1988).
PRIME = 2_147_483_647
MULTIPLIER = 48_271
INCREMENT = 1_000_003
# An id as a number: itself, or 60 bits of the MD5 of a text.
ID_NUMBER = "id_number"


def sample_customers(hands: Numbering, frame: FrameT, customers: int, seed: int) -> FrameT:
    """Draw customers by a hash of their id.

    Args:
        hands: The engine.
        frame: Rows with `customer_id`, one a customer.
        customers: At most how many to draw; all are kept where there are no more.
        seed: Another seed draws others.

    Returns:
        The drawn rows, in order of `customer_id`.
    """
    numbered = hands.number_ids(frame)
    drawn: FrameT = (
        numbered.with_columns(_scramble(seed).alias("draw"))
        .sort("draw", "customer_id")
        .head(customers)
        .drop("draw", ID_NUMBER)
        .sort("customer_id")
    )
    return drawn


def sample_places(hands: Numbering, features: FrameT, points: FrameT, customers: int, seed: int) -> FrameT:
    """Draw customers with what describes them and where they lie.

    Args:
        hands: The engine.
        features: Customers from `describe_customers`.
        points: The same customers on the components.
        customers: At most how many to draw.
        seed: Another seed draws others.

    Returns:
        The columns of both, in order of `customer_id`.
    """
    drawn = sample_customers(hands, features, customers, seed)
    return drawn.join(points, on="customer_id", how="inner").sort("customer_id")


def _scramble(seed: int) -> nw.Expr:
    """A number from 0 to `PRIME` that looks random, from an id and a seed (Int64)."""
    # A line spreads neighbouring ids apart, its square takes away the line's pattern.
    spread = (nw.col(ID_NUMBER) % PRIME * MULTIPLIER + (seed + 1) * INCREMENT) % PRIME
    return (spread * spread % PRIME) * MULTIPLIER % PRIME
