"""What a home sets holds for every run in it; what it cannot set is named, with what was probably meant."""

from pathlib import Path

import pytest

from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.orchestration.resources import default_resources
from smartcart_pipeline.orchestration.settings import read_home
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline_tests.forked import smartcart


def write(home: Home, text: str | bytes) -> Home:
    home.root.mkdir(parents=True, exist_ok=True)
    home.settings.write_bytes(text if isinstance(text, bytes) else text.encode())
    return home


def test_a_home_without_settings_sets_nothing(home: Home):
    assert read_home(home) == {"settings": {}, "engine": {}}


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "settings: {}\n", "engine:\n  memory_limit: 2GB\n"])
def test_each_section_may_be_left_out(home: Home, text: str):
    assert read_home(write(home, text))["settings"] == {}


def test_what_is_set_is_read_as_it_stands(home: Home):
    write(home, "settings:\n  max_rejected_share: 0.2\n  seed: 7\nengine:\n  spark:\n    master: local[2]\n")
    assert read_home(home) == {
        "settings": {"max_rejected_share": 0.2, "seed": 7},
        "engine": {"spark": {"master": "local[2]"}},
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("settings:\n  max_rejected_shares: 0.2\n", "Did you mean max_rejected_share?"),
        ("setting:\n  seed: 1\n", "setting is no section. Did you mean settings?"),
        ("settings:\n  seed: -1\n", "seed is -1"),
        ("settings:\n  refit: sometimes\n", "refit is 'sometimes'"),
        ("settings:\n  recipe: [behavioural]\n", "recipe is ['behavioural']"),
        ("settings:\n  max_age: 80\n", "max_age is no setting of settings any more, it is a limit of the recipe"),
        ("settings:\n  max_income: 1\n", "max_income is no setting of settings any more, it is a limit of the recipe"),
        ("settings:\n  input: other.csv\n", "input is no setting of settings."),
        ("settings: 5\n", "the section settings holds 5"),
        ("- 1\n", "holds [1], expected sections"),
        ("settings: {seed: 1\n", "cannot be read: while parsing a flow mapping"),
        (b"settings:\n  seed: \xff\n", "cannot be read"),
    ],
)
def test_what_cannot_be_set_is_told_with_the_file(home: Home, text: str | bytes, told: str):
    with pytest.raises(HomeError) as caught:
        read_home(write(home, text))
    assert told in str(caught.value)
    assert str(home.settings) in str(caught.value)


def test_the_launchpad_opens_all_the_same(home: Home):
    assert default_resources(write(home, "settings: 5\n"))["settings"] is not None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("settings:\n  sed: 1\n", "sed is no setting of settings. Did you mean seed?"),
        (
            "settings:\n  recipe: secret\n",
            "recipe is 'secret': expected one of behavioural, balanced, reference. Or name a file of the home",
        ),
    ],
)
def test_a_run_says_what_is_wrong_and_publishes_nothing(home: Home, sample: Path, text: str, told: str):
    write(home, text)
    finished = smartcart("run", "--input", sample, "--home", home.root)
    assert finished.returncode == 2
    assert told in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not home.warehouse.exists()
