"""A run that would not fit is refused before it starts."""

import os
from pathlib import Path

import pytest

from smartcart_pipeline.contract import HomeError
from smartcart_pipeline.storage.home import LAKE_BYTES, SPILL_BYTES, WAREHOUSE_BYTES, Home, require_space


def test_a_small_export_fits(tmp_path: Path):
    require_space(Home(tmp_path / "not" / "there" / "yet"), 2_240, copied_rows=0)


def test_an_export_without_room_is_refused_with_figures(home: Home):
    with pytest.raises(HomeError) as error:
        require_space(home, 10**14, copied_rows=0)
    message = str(error.value)
    needed = 10**14 * (LAKE_BYTES + SPILL_BYTES) / 1e9
    assert message.startswith(f"{home.root}: 100,000,000,000,000 customers need about {needed:,.1f} GB of disk, ")
    assert message.endswith(" GB are free. Make room, or name a home on a larger disk with --home.")


def test_tables_that_are_copied_need_room_too(home: Home):
    disk = os.statvfs(home.root.parent)
    free = disk.f_bavail * disk.f_frsize
    # Fits beside the lake's files, but not together with their copies.
    customers = int(free / (LAKE_BYTES + SPILL_BYTES + WAREHOUSE_BYTES / 2))
    require_space(home, customers, copied_rows=0)
    with pytest.raises(HomeError, match="GB of disk"):
        require_space(home, customers, copied_rows=customers)
