"""Mutants that are none are told apart, and the list of those that nobody can find is up to date."""

import pytest

from benchmarks.mutants import PACKAGE, changes_behaviour, enclosing_body, read_equivalent
from smartcart_pipeline_tests.conftest import REPOSITORY

CODE = """
LIMIT: int | None = 1 | 2

def double(number: int | None = 3) -> int | None:
    def inner(more):
        return more

    return (number or 0) * 2
"""


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        ("LIMIT: int | None", "LIMIT: int ^ None", False),
        ("number: int | None", "number: int // None", False),
        ("-> int | None", "-> int << None", False),
        ("1 | 2", "1 ^ 2", True),
        ("= 3", "= 4", True),
        ("* 2", "/ 2", True),
        ("* 2", "*  2", False),
        ("* 2", "* / 2", False),
        ("LIMIT: int | None = 1 | 2", "LIMIT = 1 | 2", True),
    ],
)
def test_a_mutant_changes_more_than_annotations_and_is_python(before: str, after: str, differs: bool):
    assert before in CODE
    assert changes_behaviour(CODE, CODE.replace(before, after)) == differs


@pytest.mark.parametrize(
    ("line", "body"), [(2, None), (4, None), (5, range(5, 9)), (6, range(6, 7)), (8, range(5, 9)), (9, None)]
)
def test_a_line_belongs_to_the_body_of_the_innermost_function(line: int, body: range | None):
    assert enclosing_body(CODE, line) == body


def test_every_mutant_that_is_listed_is_one_of_what_the_code_says_now():
    for file, before, after in read_equivalent():
        lines = [line.strip() for line in (REPOSITORY / PACKAGE / file).read_text().splitlines()]
        assert before in lines, f"{file} does not say {before!r} any more: take its entry out of the list"
        assert after not in lines
