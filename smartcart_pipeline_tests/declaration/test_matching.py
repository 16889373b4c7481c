"""What looks alike to people, and what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcart_pipeline.declaration.matching import by_look, look, match_categories

WORDS = st.lists(st.text("abcxyzéñüßøçñ", min_size=1, max_size=6), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Year_Birth", "Year Birth"),
        ("ID", "Id"),
        ("MntWines", "mnt_wines"),
        ("Dt_Customer", "dt-customer"),
        ("2n Cycle", "2N-CYCLE"),
        ("PhD", "Ph.D."),
        ("Größe", "GROSSE"),
        ("Straße", "strasse"),
        ("Café", "Cafe\u0301"),
        ("İstanbul", "istanbul"),
        ("Łódź", "lodz"),
        ("Married", "\ufeffMarried\u200b"),
        ("Married", "Married\xa0\t"),
        ("25-40", "25 – 40"),  # noqa: RUF001
        ("顧客番号", "顧客_番号"),
        ("ＩＤ", "id"),  # noqa: RUF001
    ],
)
def test_what_people_would_not_call_a_difference_is_none(one: str, other: str):
    assert look(one) == look(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A", "A+"),
        ("A", "A-"),
        ("A+", "A-"),
        ("-1", "1"),
        ("−1", "1"),  # noqa: RUF001
        ("<25", ">25"),
        ("25-40", "2540"),
        ("1.5", "15"),
        ("Income", "Income %"),
        ("$", "$$"),
        ("★", "★★"),
        ("Single", "Singles"),
        ("か", "が"),
        ("की", "का"),
        ("Married", "Mar\0ried"),
    ],
)
def test_what_says_something_else_looks_different(one: str, other: str):
    assert look(one) != look(other)


@given(
    words=WORDS,
    joined=st.sampled_from([" ", "_", "-", " / ", ". ", "__", "\t"]),
    change=st.sampled_from(["upper", "title"]),
)
def test_case_and_what_joins_words_make_no_difference(words: list[str], joined: str, change: str):
    assert look(getattr(f"({joined.join(words)})", change)()) == look("".join(words))


@given(st.integers(), st.integers())
def test_two_numbers_look_alike_only_where_they_are_the_same(one: int, other: int):
    assert (look(str(one)) == look(str(other))) == (one == other)


@given(st.text())
def test_every_text_has_a_look(text: str):
    assert look(text) == look(f" {text} ") or "\0" in text


def test_what_looks_like_several_is_nobodys():
    owners = [("Foo", "a"), ("foo", "b"), ("Bar", "a"), ("B_a_r", "a"), ("?", "c"), ("", "d")]
    assert by_look(owners) == {"bar": "a"}


def test_categories_are_found_by_sight():
    found = match_categories(["married", "Married", "MARRIED ", "Widower", ""], ("Married", "Widow"))
    assert found == {"married": "Married", "MARRIED ": "Married"}


def test_categories_that_look_alike_are_never_mapped():
    assert match_categories(["GOLD", "silver"], ("Gold", "gold", "Silver")) == {"silver": "Silver"}


@given(st.lists(st.text(max_size=5), max_size=5), st.lists(st.text(max_size=5), max_size=5))
def test_a_category_is_never_mapped_to_another(texts: list[str], categories: list[str]):
    found = match_categories([*texts, *categories], categories)
    assert not {*found} & {*categories}
    assert {*found.values()} <= {*categories}
