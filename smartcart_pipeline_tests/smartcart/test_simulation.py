"""Simulated worlds are what they say, and over a few nights the segments in them are steady."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smartcart_pipeline.segmentation.gate import Gate
from smartcart_pipeline.segmentation.hysteresis import Hysteresis
from smartcart_pipeline.smartcart import simulation
from smartcart_pipeline.smartcart.simulation import (
    Identity,
    Played,
    as_of,
    describe_night,
    make_world,
    play_world,
    summarise_world,
)
from smartcart_pipeline_tests.engines.test_apart import is_running


def test_a_base_grows_by_customers_that_join_on_their_night():
    world = make_world("unchanged", 500, 6, 1)
    sizes = [len(world.export(night)[1]) for night in range(6)]
    assert sizes == [500 + 2 * night for night in range(6)]
    frame, here = world.export(3)
    joined = frame["dt_customer"].to_numpy()[world.arrives[here] == 3]
    assert {str(day)[:10] for day in joined} == {str(as_of(3))}


def test_who_does_not_change_looks_the_same_but_for_the_days():
    world = make_world("unchanged", 500, 6, 1)
    first, last = (world.export(night)[0].to_native() for night in (0, 5))
    moving = ["recency", "as_of_date", "response"]
    assert first.drop(columns=moving).equals(last.head(500).drop(columns=moving))


def test_who_changes_does_so_over_nights_and_nobody_else_does():
    world = make_world("gradual", 800, 60, 1)
    changing = np.flatnonzero(world.changes >= 0)
    assert 80 < len(changing) < 200
    first, last = (world.export(night)[0].to_native().head(800) for night in (0, 59))
    differs = (first[["income", "mnt_wines", "marital_status"]] != last[["income", "mnt_wines", "marital_status"]]).any(
        axis=1
    )
    assert set(np.flatnonzero(differs)) <= set(changing)
    assert differs[changing].mean() > 0.95


def test_the_new_group_comes_all_on_one_night(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(simulation, "ARRIVAL", 3)
    world = make_world("sudden", 1_000, 6, 1)
    _, before = world.export(2)
    _, after = world.export(3)
    assert not world.is_new_group[before].any()
    assert world.is_new_group[after].sum() == 80


@pytest.mark.night
def test_the_new_group_gets_its_segment_and_nobody_is_moved_before(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(simulation, "ARRIVAL", 3)
    played = play_world(make_world("sudden", 1_500, 6, 1), 6, 1, Gate(), Hysteresis())
    ours = played["identity"]
    assert ours.promotions == [3]
    assert ours.found == 0
    assert max(ours.relabelled[:2]) <= 0.001
    # Who moved was moved by the new model, and that is what was told.
    assert ours.told.keys() == {("model", "model")}
    assert ours.right_causes == 1


@pytest.mark.night
def test_a_person_can_ask_for_a_model_of_another_night():
    world = make_world("unchanged", 600, 3, 1)
    player = Identity(1, replace(Gate(), refit="always"), Hysteresis())
    for night in range(2):
        player.publish(describe_night(world.export(night)[0], night, 1), 1)
    first, asked = player.champion, player.champion
    assert first is not None
    assert asked is not None
    request = simulation.Requested(asked, True, "why not")
    player.publish(describe_night(world.export(2)[0], 2, 1), 1, request)
    assert player.verdicts[-1] == "Promoted by a person: why not"
    assert player.champion is not None
    assert player.champion.model.segment_ids == first.model.segment_ids
    assert player.champion.model.centroids.tolist() == first.model.centroids.tolist()


@pytest.mark.night
def test_the_command_plays_all_worlds():
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "smartcart_pipeline.cli.main",
            "simulate",
            "--nights",
            "2",
            "--customers",
            "500",
            "--json",
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    rows = json.loads(done.stdout)
    assert [(row["world"], row["policy"]) for row in rows] == [
        (world, policy) for world in simulation.WORLDS for policy in ("identity", "matching", "refit")
    ]
    assert all(0 <= row["mean_relabelled"] <= row["worst_relabelled"] <= 1 for row in rows)
    assert rows == [row for world in simulation.WORLDS for row in summarise_world(world, 500, 2, seed=1)]


@pytest.mark.night
def test_a_world_is_summed_up_from_its_nights():
    played = play_world(make_world("gradual", 500, 4, 2), 4, 2, Gate(), Hysteresis())
    for row, (policy, told) in zip(summarise_world("gradual", 500, 4, 2), played.items(), strict=True):
        assert (row["policy"], row["world"], row["customers"], row["nights"], row["seed"]) == (
            policy,
            "gradual",
            500,
            4,
            2,
        )
        assert row["worst_relabelled"] == max(told.relabelled)
        assert row["mean_relabelled"] == pytest.approx(sum(told.relabelled) / 3)
        assert (row["moves"], row["promotions"]) == (sum(told.told.values()), len(told.promotions))
        assert (row["changed_moved"], row["nights_to_find"]) == (told.moved, None)


def test_causes_told_right_are_counted_among_all_that_were_told():
    assert Played().right_causes is None
    told = {("customer", "customer"): 2, ("model", "model"): 1, ("customer", "borderline"): 1}
    assert Played(told=told).right_causes == 0.75


# Of four known customers two moved, one of them because it changed; the fifth came, the sixth left.
BEFORE = ["S01", "S01", "S02", "S02", "", "S01"]
AFTER = ["S02", "S02", "S02", "S02", "S01", ""]


@pytest.mark.parametrize(("night", "relabelled"), [(0, []), (2, [0.5]), (3, [0.25]), (4, [0.25])])
def test_relabelled_is_who_moved_and_had_not_changed_by_then(night: int, relabelled: list[float]):
    world = replace(
        make_world("unchanged", 500, 2, 1),
        changes=np.array([3, -1, -1, -1, -1, -1]),
        is_new_group=np.zeros(6, dtype=bool),
    )
    record = Played()
    simulation._record(record, world, night, np.array(BEFORE, dtype=object), np.array(AFTER, dtype=object))
    assert record.relabelled == relabelled


@pytest.mark.parametrize(
    ("of_group", "of_others", "found"),
    [
        (["S01", "S01"], ["S02", "S02"], 1),
        # Half of the group is in the segment, and half of the segment is of the group.
        (["S01", "S02"], ["S01", "S03"], 1),
        (["S01", "S02", "S03"], ["S04"], None),
        (["S01", "S01"], ["S01", "S01", "S01"], None),
    ],
)
def test_a_group_is_found_where_half_of_it_is_half_of_a_segment(
    of_group: list[str], of_others: list[str], found: int | None
):
    labels = of_group + of_others
    is_new_group = np.arange(len(labels)) < len(of_group)
    world = replace(make_world("unchanged", 500, 2, 1), changes=np.full(len(labels), -1), is_new_group=is_new_group)
    record = Played()
    known = np.array(labels, dtype=object)
    simulation._record(record, world, simulation.ARRIVAL - 1, known, known)
    assert record.found is None
    simulation._record(record, world, simulation.ARRIVAL + 1, known, known)
    assert record.found == found


@pytest.mark.night
def test_who_plays_a_world_ends_with_a_command_that_is_killed():
    command = [
        sys.executable,
        "-m",
        "smartcart_pipeline.cli.main",
        "simulate",
        "--nights",
        "500",
        "--customers",
        "9000",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        own = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        deadline = time.monotonic() + 60
        while len(players := own.read_text().split()) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        # Let them begin to play.
        time.sleep(5)
        process.kill()
    while any(is_running(int(player)) for player in players):
        assert time.monotonic() < deadline + 30
        time.sleep(0.1)
