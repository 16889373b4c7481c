"""Kills real runs at random moments: a warmed-up parent forks a run, and kills it in a stage of the parent's choice.

python -m smartcart_pipeline_tests.killing PLAN HOME EXPORT KILLS SEED

A plan is `later` (one night after another in one home), `first` (a night in a home where none has published) or
`promoting` (a night that puts its own model in force, from the stage in which it decides so). Of the last two, a night
is killed in one stage after another, each run finding its way alone after the one before, until one had published when
it was killed; then the next run is let end, all is looked at, and the home begun anew. No KILLS (0): one in every
second stage of `later`, and of the others in those that later nights do not have alike.

Imports are paid once: each run is a fork of a process that has imported all that a run does (so it fits and draws by
itself), and run nothing. It tells its stages over a pipe, by the progress that the command shows; the parent waits for
one, and for a random share of the time that the stage took in a whole run, then kills. Prints one line of JSON a run:
the stage, whether it was still running, and what was wrong afterwards, which must be nothing.
"""

import importlib
import itertools
import json
import logging
import os
import random
import select
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb

from smartcart_pipeline.declaration.tables import RECORDS
from smartcart_pipeline.orchestration import assets, checks, definitions  # noqa: F401  (so that a fork need not import them)
from smartcart_pipeline.orchestration.night import run_job
from smartcart_pipeline.orchestration.progress import CHANNEL, Watcher
from smartcart_pipeline.report import plots  # noqa: F401  (so that a fork need not import them)
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.models import read_record
from smartcart_pipeline.storage.publications import kept_publications, published, run_of
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests.declared import TABLES, VIEWS
from smartcart_pipeline_tests.forked import IMPORTED

TABLES_AND_VIEWS = (*TABLES, *RECORDS, *VIEWS)

# A second night whose model is put in force, as the plan `promoting` kills it.
PROMOTED = {"as_of": "2015-01-01", "refit": "always"}

# Where a first night, and one that promotes, find or leave what later nights do not.
PROMOTING = "promotion_decisions_and_4_more"
OWN_STAGES = ("begin", "raw_customers", PROMOTING, "segment_model", "warehouse", "warehouse", "report")


def fork_run(home: Home, export: Path, settings: dict[str, Any] | None = None) -> tuple[int, int]:
    """Start a run; returns its process and the pipe over which it tells its stages."""
    listen, tell = os.pipe()
    process = os.fork()
    if process:
        os.close(tell)
        return process, listen
    status = 1
    try:
        os.close(listen)
        os.write(tell, b"begin\n")

        def notice(event: Any) -> None:
            if event.is_step_start:
                os.write(tell, f"{event.step_key}\n".encode())

        logging.getLogger(CHANNEL).addHandler(Watcher(notice, hear=lambda _: None))
        ours = {"input": str(export), "recipe": "behavioural", "copied_rows": 1_000}
        run_job(home, ours | (settings or {}), quiet=True)
        os.write(tell, b"end\n" + "".join(f"{name}\n" for name in sys.modules).encode())
        status = 0
    finally:
        os._exit(status)


def stages_of(process: int, listen: int) -> dict[str, float]:
    """Let a run end by itself; returns the seconds that each stage took."""
    begun: list[tuple[str, float]] = []
    with os.fdopen(listen) as lines:
        for line in lines:
            begun.append((line.strip(), time.monotonic()))
            if line == "end\n":
                break
        imported = lines.read().split()
    _, status = os.waitpid(process, 0)
    if status:
        raise SystemExit(f"a run that nobody killed ended with {status}")
    for name in imported:
        with suppress(Exception):
            importlib.import_module(name)
    return {name: end - moment for (name, moment), (_, end) in itertools.pairwise(begun)}


def kill_in(stage: str, seconds: float, process: int, listen: int) -> bool:
    """Kill a run so many seconds after a stage has begun; returns whether it was still running."""
    heard = b""
    while stage.encode() not in heard.split(b"\n"):
        piece = os.read(listen, 4_096)
        if not piece:
            break
        heard += piece
    select.select([], [], [], seconds)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    os.close(listen)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"a run failed by itself before it was killed in {stage}")
    return os.WIFSIGNALED(status)


def faults(home: Home) -> list[str]:
    """What is wrong with the warehouse, the publications or the lake; looked at in a process of its own."""
    found = []
    if not home.warehouse.exists() and not kept_publications(home):
        return ["the first night is over, and nothing is published"] if home.report.exists() else []
    if published(home) is None:
        found.append("what is published is none of the publications")
    for path in (home.warehouse, *kept_publications(home)):
        try:
            with open_warehouse(path) as connection:
                counts = {name: count(connection, name) for name in TABLES_AND_VIEWS}
                [(stated,)] = connection.sql("SELECT row_counts FROM publication").fetchall()
                runs = connection.sql("SELECT run_id FROM lineage UNION SELECT run_id FROM publication").fetchall()
        except duckdb.Error as error:
            found.append(f"{path.name}: {error}")
            continue
        if stated != {name: counts[name] for name in TABLES}:
            found.append(f"{path.name}: rows are not as stated")
        if len(runs) != 1:
            found.append(f"{path.name}: of several runs")
    with duckdb.connect() as connection:
        for file in home.lake.glob("*/[!.]*"):
            try:
                connection.execute(f"SELECT count(COLUMNS(*)) FROM read_parquet('{file}')").fetchall()
            except duckdb.Error as error:
                found.append(f"{file}: {error}")
    return found


def count(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    return int(connection.sql(f"SELECT count(*) FROM {name}").fetchall()[0][0])


def faults_of_record(home: Home) -> list[str]:
    """What is wrong with the record after a run that ended well: each night has published, the last tells of all."""
    recorded = [night.run_id for night in read_record(home).nights]
    publications = [run_of(path) for path in reversed(kept_publications(home))]
    found = [] if recorded == publications else [f"recorded {recorded}, published {publications}"]
    with open_warehouse(home.warehouse) as connection:
        nights = connection.sql("SELECT night FROM nights ORDER BY night").fetchall()
    if nights != [(number,) for number in range(1, len(recorded) + 1)]:
        found.append(f"the table of nights tells of {nights}")
    if run_of(kept_publications(home)[0]) not in home.report.read_text(encoding="utf-8"):
        found.append("the report is of another run")
    return found


def look(home: Home, *ways: Callable[[Home], list[str]]) -> list[str]:
    """What is wrong, looked at in a fork: the parent must stay without threads."""
    listen, tell = os.pipe()
    if not os.fork():
        os.close(listen)
        os.write(tell, json.dumps([fault for way in ways for fault in way(home)]).encode())
        os._exit(0)
    os.close(tell)
    with os.fdopen(listen) as answer:
        found: list[str] = json.loads(answer.read() or '["looking failed"]')
    os.wait()
    return found


def kill_later_nights(home: Home, export: Path, kills: int, chosen: random.Random) -> None:
    """Kill one night after another in one home, stage after stage."""
    stages_of(*fork_run(home, export))
    lasting = stages_of(*fork_run(home, export))
    # The stage that publishes, where most is at stake, has as many kills as three others.
    stages = [*(lasting if kills else list(lasting)[::2]), "warehouse", "warehouse"]
    for number in range(kills or len(stages)):
        stage = stages[number % len(stages)]
        seconds = chosen.uniform(0, 1.1 * lasting[stage])
        killed = kill_in(stage, seconds, *fork_run(home, export))
        tell_kill(stage, killed, look(home, faults))
    stages_of(*fork_run(home, export))
    tell_kill("whole run", False, look(home, faults))


def kill_one_night(
    begun: Home | None, settings: dict[str, Any], home: Home, export: Path, kills: int, chosen: random.Random
) -> None:
    """Kill the same night again and again: the first of an empty home, or the next of one as begun."""

    def begin() -> None:
        shutil.rmtree(home.root, ignore_errors=True)
        if begun:
            shutil.copytree(begun.root, home.root)

    begin()
    lasting = stages_of(*fork_run(home, export, settings))
    stages = list(lasting)
    # Until then, the plan for first nights kills the same.
    stages = [*(stages[stages.index(PROMOTING) :] if begun else ["begin", *stages]), "warehouse", "warehouse"]
    if not kills:
        stages = [stage for stage in OWN_STAGES if stage in stages]
    begin()
    kills = kills or len(stages)
    for number in range(kills):
        stage = stages[number % len(stages)]
        killed = kill_in(stage, chosen.uniform(0, 1.1 * lasting[stage]), *fork_run(home, export, settings))
        found = look(home, faults)
        if len(kept_publications(home)) > bool(begun) or number == kills - 1:
            stages_of(*fork_run(home, export, settings))
            found += look(home, faults, faults_of_record)
            begin()
        elif stage == "begin":
            begin()
        tell_kill(stage, killed, found)


def tell_kill(stage: str, killed: bool, found: list[str]) -> None:
    print(json.dumps({"stage": stage, "killed": killed, "faults": found}), flush=True)


def main(plan: str, home: Home, export: Path, kills: int, seed: int) -> None:
    """Kill and look."""
    warnings.simplefilter("ignore")
    for name in IMPORTED:
        importlib.import_module(name)
    chosen = random.Random(seed)
    if plan == "later":
        kill_later_nights(home, export, kills, chosen)
    elif plan == "first":
        kill_one_night(None, {}, home, export, kills, chosen)
    else:
        begun = Home(home.root.with_name("begun"))
        stages_of(*fork_run(begun, export))
        kill_one_night(begun, PROMOTED, home, export, kills, chosen)


if __name__ == "__main__":
    main(sys.argv[1], Home(Path(sys.argv[2])), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
