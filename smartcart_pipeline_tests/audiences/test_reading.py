"""What a home says of its audiences, and every way in which that can be wrong, told with its place."""

from pathlib import Path

import pytest

from smartcart_pipeline.audiences.audience import Audience
from smartcart_pipeline.audiences.reading import read_audiences
from smartcart_pipeline.declaration.files import DeclarationError

COLUMNS = {
    "customer_id": "BIGINT",
    "segment_id": "VARCHAR",
    "persona": "VARCHAR",
    "recency": "SMALLINT",
    "mail": "BOOLEAN",
    "is_at_risk": "BOOLEAN",
    "is_high_value": "BOOLEAN",
}
FILE = "audiences.yaml"
SEGMENTS = [("S01", "Good"), ("S02", "Others")]


def read(folder: Path, text: str | None = None):
    if text is not None:
        (folder / FILE).write_text(text, encoding="utf-8")
    return read_audiences(folder / FILE, COLUMNS, SEGMENTS)


def test_without_a_file_there_is_one_for_each_segment_and_for_those_who_matter(tmp_path: Path):
    found = read(tmp_path)
    assert [(each.name, each.description) for each in found.listed[:2]] == SEGMENTS
    assert [each.name for each in found.listed[2:]] == ["at_risk", "high_value"]
    assert {each.columns for each in found.listed} == {("customer_id", "segment_id", "persona")}
    assert found.control == 0
    only = read_audiences(tmp_path / FILE, {"customer_id": "BIGINT"}, SEGMENTS)
    assert [each.name for each in only.listed] == ["S01", "S02"]


def test_a_file_says_all_there_is_to_say(tmp_path: Path):
    found = read(
        tmp_path,
        """
salt: pepper
control: 0.02
audiences:
  - name: everybody
  - {name: later, exclusive: true, priority: 2}
  - name: win_back
    description: Gone quiet.
    where: segment_id = 'S01' and recency > 60
    columns: [persona, customer_id]
    consent: mail
    exclusive: true
    priority: 1
    limit: 500
    holdout: 0.1
    cost: 0.35
    nightly: true
""",
    )
    assert (found.salt, found.control) == ("pepper", 0.02)
    # Exclusive ones claim their customers first, in the order of priority.
    assert [each.name for each in found.listed] == ["win_back", "later", "everybody"]
    assert found.by_name["win_back"] == Audience(
        name="win_back",
        description="Gone quiet.",
        where="segment_id = 'S01' and recency > 60",
        columns=("customer_id", "persona"),
        consent="mail",
        is_exclusive=True,
        priority=1,
        limit=500,
        holdout=0.1,
        cost=0.35,
        is_nightly=True,
    )


WRONG = {
    "audiences: []": "audiences",
    "audiences: [{where: recency > 1}]": "audiences[1].name",
    "audiences: [{name: a}, {name: A}]": "audiences[2] (A).name: there is one of that name already",
    "audiences: [{name: ../x}]": "audiences[1] (../x).name: expected up to 63 letters",
    "audiences: [{name: a, limt: 3}]": "audiences[1].limt is not known (nearest: limit)",
    "audiences: [{name: a, where: recencyy > 1}]": "(a).where: there is no column 'recencyy' (nearest: recency)",
    "audiences: [{name: a, where: recency}]": "audiences[1] (a).where is SMALLINT, neither true nor false",
    "audiences: [{name: a, columns: [personna]}]": "(a).columns: there is no column 'personna' (nearest: persona)",
    "audiences: [{name: a, consent: male}]": "audiences[1] (a).consent: there is no column 'male' (nearest: mail)",
    "audiences: [{name: a, holdout: 1}]": "audiences[1].holdout",
    "audiences: [{name: a, limit: 0}]": "audiences[1].limit",
    "audiences: [{name: a, limit: many}]": "audiences[1].limit",
    "control: -0.1\naudiences: [{name: a}]": "control",
    "- name: a": "expected keys and values",
    "audiences: [{name: a}": "this is no YAML",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str):
    with pytest.raises(DeclarationError) as raised:
        read(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path / FILE}: ")
    assert WRONG[text] in str(raised.value)
