"""Whatever bytes a file holds, it is read or refused in a sentence; `benchmarks.fuzzing` tries more of them."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.fuzzing import MEANING, READ, fuzz, judge, make_files, mutate

files = cache(make_files)
PLAIN = "dollars"


@pytest.mark.parametrize("name", make_files(1))
def test_files_that_nobody_has_changed_are_read(tmp_path: Path, name: str):
    path = tmp_path / "export"
    path.write_bytes(files()[name])
    assert judge(path) == READ


@given(number=st.integers(0, 10**9))
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_files_are_read_or_refused_in_a_sentence(tmp_path: Path, number: int):
    _, came_of_it, seconds = fuzz(tmp_path, files(), number)
    assert came_of_it
    assert seconds < 60


# Rows of which nothing is as it should be: cells of any text, with what means something to a CSV, quoted or not.
CELLS = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    [mark.decode("latin-1") for mark in MEANING] + ["12", "1.234,5", "NaN", "2012-09-04", "04/09/2012", "#N/A", "yes"]
)


@given(rows=st.lists(st.lists(CELLS, max_size=30), max_size=12), quoted=st.booleans())
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_of_any_text_are_read_or_refused_in_a_sentence(tmp_path: Path, rows: list[list[str]], quoted: bool):
    path = tmp_path / "export.csv"
    lines = [",".join(f'"{cell}"' if quoted else cell for cell in row) for row in rows]
    path.write_bytes(files()["thousands with commas"] + "\n".join(lines).encode(errors="surrogatepass"))
    assert judge(path)


def test_changes_are_made_again_by_their_number():
    content = files()[PLAIN]
    changed = [mutate(content, np.random.default_rng(number)) for number in range(50)]
    assert changed == [mutate(content, np.random.default_rng(number)) for number in range(50)]
    assert sum(each != content for each in changed) > 40


def test_a_line_of_two_gigabytes_is_refused_at_once(tmp_path: Path):
    path = tmp_path / "export.csv"
    with path.open("wb") as file:
        file.write(files()[PLAIN])
        # A hole takes no room.
        file.truncate(2_000_000_000)
    assert "is longer than 32,000,000 bytes" in judge(path)
