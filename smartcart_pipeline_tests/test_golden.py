"""That nothing a night makes has changed, to the last bit: tables, comments, checks, metadata and column lineage."""

import json
import platform
from pathlib import Path

import pytest

from smartcart_pipeline_tests.golden import EXPORTS, RECIPES, RECORDED, play_apart

pytestmark = pytest.mark.night


def _has_the_instructions() -> bool:
    information = Path("/proc/cpuinfo")
    flags = information.read_text(encoding="utf-8").split() if information.is_file() else []
    return platform.machine() == "x86_64" and {"avx2", "fma"} <= set(flags)


@pytest.mark.skipif(not _has_the_instructions(), reason="the bits were recorded with AVX2 and FMA of an x86-64")
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", EXPORTS)
def test_two_nights_make_what_they_always_made(name: str, recipe: str) -> None:
    if not EXPORTS[name].is_file():
        pytest.skip(f"the {name} export is not at {EXPORTS[name]}")
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))[f"{name} {recipe}"]
    for night, (found, known) in enumerate(zip(play_apart(EXPORTS[name], recipe), recorded, strict=True), start=1):
        changed = {key for key in found.keys() | known.keys() if found.get(key) != known.get(key)}
        told = f"night {night}. If that is meant, write golden.json anew: python -m {play_apart.__module__}"
        assert not changed, told
