"""A run that would not fit is refused before it starts, and what is put in place is there for good."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.storage.home import (
    LAKE_BYTES,
    SPILL_BYTES,
    WAREHOUSE_BYTES,
    Home,
    next_stamp,
    put_in_place,
    remove,
    require_space,
)


def test_a_small_export_fits(tmp_path: Path):
    require_space(Home(tmp_path / "not" / "there" / "yet"), 2_240, copied_rows=0)


def test_an_export_without_room_is_refused_with_figures(home: Home):
    with pytest.raises(HomeError) as error:
        require_space(home, 10**14, copied_rows=0)
    message = str(error.value)
    needed = 10**14 * (LAKE_BYTES + SPILL_BYTES) / 1e9
    assert message.startswith(f"{home.root}: 100,000,000,000,000 customers need about {needed:,.1f} GB of disk, ")
    assert message.endswith(" GB are free. Make room, or name a home on a larger disk with --home.")


@pytest.mark.parametrize(("copied_rows", "told"), [(0, "21.0"), (10**8, "63.0")])
def test_a_customer_needs_so_many_bytes(home: Home, monkeypatch: pytest.MonkeyPatch, copied_rows: int, told: str):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, 10**9))  # type: ignore[attr-defined]
    with pytest.raises(HomeError, match=f"100,000,000 customers need about {told} GB of disk, 1.0 GB are free"):
        require_space(home, 10**8, copied_rows=copied_rows)


def test_tables_that_are_copied_need_room_too(home: Home):
    disk = os.statvfs(home.root.parent)
    free = disk.f_bavail * disk.f_frsize
    # Fits beside the lake's files, but not together with their copies.
    customers = int(free / (LAKE_BYTES + SPILL_BYTES + WAREHOUSE_BYTES / 2))
    require_space(home, customers, copied_rows=0)
    with pytest.raises(HomeError, match="GB of disk"):
        require_space(home, customers, copied_rows=customers)


@pytest.fixture
def durable(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is flushed to disk and renamed, in order; it is done, too."""
    done: list[tuple[str, str]] = []
    flush, rename = os.fsync, os.replace

    def record_flush(descriptor: int) -> None:
        done.append(("flush", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        flush(descriptor)

    def record_rename(old: Path, new: Path) -> None:
        done.append(("rename", Path(new).name))
        rename(old, new)

    monkeypatch.setattr(os, "fsync", record_flush)
    monkeypatch.setattr(os, "replace", record_rename)
    return done


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux tells what a descriptor is open on")
def test_a_file_is_on_disk_before_it_has_its_name_and_the_name_is_after(tmp_path: Path, durable: list[tuple[str, str]]):
    written, path = tmp_path / ".new", tmp_path / "record"
    path.write_text("old")
    written.write_text("new")
    put_in_place(written, path)
    assert durable == [("flush", ".new"), ("rename", "record"), ("flush", tmp_path.name)]
    assert (path.read_text(), written.exists()) == ("new", False)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux tells what a descriptor is open on")
def test_a_folder_is_on_disk_with_all_its_files_before_it_has_its_name(tmp_path: Path, durable: list[tuple[str, str]]):
    written, path = tmp_path / ".new", tmp_path / "table"
    written.mkdir()
    for name in ("a", "b"):
        (written / name).write_text(name)
    put_in_place(written, path)
    assert sorted(durable[:2]) == [("flush", "a"), ("flush", "b")]
    assert durable[2:] == [("flush", ".new"), ("rename", "table"), ("flush", tmp_path.name)]
    assert sorted(file.name for file in path.iterdir()) == ["a", "b"]


def test_stamps_rise_although_the_clock_went_back(tmp_path: Path):
    first = next_stamp(tmp_path)
    assert len(first) == len("20140629T000000000000Z")
    (tmp_path / "29991231T235959999998Z_run").touch()
    assert next_stamp(tmp_path) == "29991231T235959999999Z"
    # What is named in another way tells no time.
    (tmp_path / "2999a").touch()
    (tmp_path / "39991231T235959999998Z").touch()
    assert next_stamp(tmp_path) == "29991231T235959999999Z"


def test_files_and_folders_are_removed_and_what_is_not_there_is_no_fault(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    (tmp_path / "file").touch()
    for name in ("folder", "file", "nothing"):
        remove(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_the_disk_may_be_filled_to_the_last_byte(home: Home, monkeypatch: pytest.MonkeyPatch):
    needed = 1_000 * (LAKE_BYTES + SPILL_BYTES + WAREHOUSE_BYTES)
    # No disk can be made as full as that without being in others' way.
    disk = SimpleNamespace(free=needed)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk)
    require_space(home, 1_000, copied_rows=1_000)
    disk.free -= 1
    with pytest.raises(HomeError, match="GB of disk"):
        require_space(home, 1_000, copied_rows=1_000)
    # A table of more rows than are copied takes no room in the warehouse.
    require_space(home, 1_000, copied_rows=999)
