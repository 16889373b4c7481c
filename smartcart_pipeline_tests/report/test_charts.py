"""Scales hold what they show, marks differ without colour, and space is seen as it is."""

import math
import re

import pytest

from smartcart_pipeline.report import charts


@pytest.mark.parametrize(
    ("values", "low", "ticks"),
    [
        ([0, 157_733], 0, [0, 50_000, 100_000, 150_000]),
        ([3, 2_525], 0, [0, 1_000, 2_000]),
        ([0.2, 1.0], 0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([-7.3, 4.1], None, [-5.0, -2.5, 0.0, 2.5]),
        ([5, 5, 5], None, [5.0, 5.2, 5.4, 5.6, 5.8, 6.0]),
        ([], 0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_ticks_are_round_and_lie_on_the_axis(values: list[float], low: float | None, ticks: list[float]) -> None:
    made = charts.axis(values, 0, 100, low=low)
    assert list(made.ticks) == pytest.approx(ticks)
    assert all(made.low - 1e-9 <= value <= made.high for value in [*values, *made.ticks])


def test_an_axis_places_its_ends_at_its_ends() -> None:
    upwards = charts.axis([0, 10], 300, 20, low=0)
    assert [upwards.place(value) for value in (0, 5, 10)] == [300, 160, 20]


@pytest.mark.parametrize(
    ("values", "ticks", "written"),
    [
        ([0, 7], [0, 1, 2, 5], ["0", "1", "2", "5"]),
        ([200, 30_000], [200, 1_000, 5_000, 20_000], ["200", "1,000", "5,000", "20,000"]),
        ([4_829, 4.8e9], [1e4, 1e6, 1e8], ["10,000", "1M", "100M"]),
        ([0, 0], [0, 1], ["0", "1"]),
        ([], [0, 1], ["0", "1"]),
    ],
)
def test_a_logarithmic_axis_has_few_ticks_however_far_it_reaches(
    values: list[float], ticks: list[float], written: list[str]
) -> None:
    made = charts.log_axis(values, 0, 100)
    assert list(made.ticks) == ticks
    assert [made.write(tick) for tick in made.ticks] == written
    assert (made.place(made.low), made.place(made.high)) == pytest.approx((0, 100))
    assert sorted(map(made.place, ticks)) == list(map(made.place, ticks))
    assert all(0 <= made.place(value) <= 100.000001 for value in [*values, *ticks])


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([0, 1], ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ([0, 0.011], ["0.0000", "0.0025", "0.0050", "0.0075", "0.0100"]),
        ([-7.3, 4.1], ["-5.0", "-2.5", "0.0", "2.5"]),
        ([0, 90_000], ["0", "20,000", "40,000", "60,000", "80,000"]),
        ([0, 2_400_000], ["0", "500,000", "1M", "1.5M", "2M"]),
    ],
)
def test_ticks_are_written_in_as_few_letters_as_tell_them_apart(values: list[float], written: list[str]) -> None:
    made = charts.axis(values, 0, 100)
    assert [made.write(tick) for tick in made.ticks] == written


def corners(path: str) -> list[complex]:
    """Where the pen is after each step of a path of relative moves and lines."""
    at = start = 0j
    found = []
    for command, numbers in re.findall(r"([mlz])([^mlz]*)", path):
        values = [float(number) for number in numbers.split()]
        for x, y in zip(values[::2], values[1::2], strict=True):
            at += complex(x, y)
            found.append(at)
        if command == "m":
            start = at
        elif command == "z":
            at = start
    assert abs(at) < 0.02, "the pen comes back to where it began"
    return found


@pytest.mark.parametrize("shape", [shape for shape in charts.SHAPES if "circle" not in shape])
def test_a_mark_stands_around_its_place(shape: str) -> None:
    outline = corners(charts.mark(shape, 10))
    assert max(map(abs, outline)) < 18
    assert abs(sum(point.real for point in outline)) < 1


def test_no_two_shapes_are_alike_and_there_are_as_many_as_candidates_for_k() -> None:
    assert len({charts.mark(shape, 5) for shape in charts.SHAPES}) == len(charts.SHAPES) == 10


def test_many_marks_are_one_path() -> None:
    path = charts.marks([(1, 2), (3.25, 4)], "square", 1)
    assert re.findall(r"M(\S+) (\S+?)m", path) == [("1.0", "2.0"), ("3.2", "4.0")]


def test_space_is_seen_across_the_line_of_sight() -> None:
    see = charts.view((1, 1, 1))
    towards_the_eye = see((5, 5, 5))
    assert towards_the_eye == pytest.approx((0, 0))
    lengths = [math.hypot(*see(axis)) for axis in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    assert lengths == pytest.approx([math.sqrt(2 / 3)] * 3)
    right, down = see((0, 0, 1))
    assert (right, down < 0) == (pytest.approx(0), True)
