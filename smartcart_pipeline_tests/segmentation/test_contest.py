"""The gate judges a challenger by a sample of customers; what became of the segments is told of all of them."""

from dataclasses import replace
from typing import Any

import pytest

from smartcart_pipeline.segmentation.contest import Tonight, hold_contest
from smartcart_pipeline.segmentation.gate import Gate
from smartcart_pipeline.segmentation.hysteresis import Hysteresis, settle_segments
from smartcart_pipeline.segmentation.model import assign_model
from smartcart_pipeline.segmentation.sampling import sample_customers
from smartcart_pipeline.smartcart.simulation import Memory, World, describe_night, make_world

SAMPLED = 400


def night_of(world: World, number: int, previous: Any) -> Tonight:
    """A night of a world, with a sample that is smaller than it."""
    night = describe_night(world.export(number)[0], number, seed=1)
    sample = sample_customers(Memory(), night.sample, SAMPLED, 1)
    return Tonight(
        number + 1, night.features, night.points, sample, night.candidates, night.fit, previous, True, seed=1
    )


def test_a_sample_decides_and_all_customers_are_counted():
    # A world of whose sampled customers a refit moves somebody.
    world = make_world("unchanged", 1_000, 2, 5)
    first = night_of(world, 0, None)
    begun = hold_contest(Memory(), first, None, 0, Gate())
    model = begun.in_force.model
    published = settle_segments(assign_model(first.features, model), None, model.segment_ids, Hysteresis())

    second = night_of(world, 1, published)
    held = hold_contest(Memory(), second, begun.in_force, begun.named, replace(Gate(), refit="never"))
    known = len(second.sample.join(published.select("customer_id"), on="customer_id", how="semi"))
    [relabelled] = [row["value"] for row in held.decision.criteria if row["criterion"] == "relabelled_customers"]
    assert (held.in_force, held.events) == (begun.in_force, [])
    assert relabelled > 0
    assert relabelled * known == pytest.approx(round(relabelled * known))

    promoted = hold_contest(Memory(), second, begun.in_force, begun.named, replace(Gate(), refit="always"))
    assert promoted.in_force.version == "v2"
    assert promoted.in_force.model.segment_ids == model.segment_ids
    assert {event["event"] for event in promoted.events} == {"continued"}
    before = [round(event["shared_customers"] / event["share_of_old"]) for event in promoted.events]
    assert sum(before) == len(published)
