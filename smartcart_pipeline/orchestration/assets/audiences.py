"""Whom campaigns are for tonight: the home's audiences, who is in them, and who entered and left."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import duckdb
import narwhals as nw

from smartcart_pipeline.audiences import (
    changes,
    choosing,
    conditions,
    counting,
    deliveries,
    groups,
    opening,
    people,
    reading,
    stays,
)
from smartcart_pipeline.audiences.audience import Audience, Rule, from_row
from smartcart_pipeline.audiences.choosing import Chosen
from smartcart_pipeline.audiences.deliveries import Delivery, deliver, read_deliveries, tidy
from smartcart_pipeline.audiences.opening import Published, choose_customers, open_published
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.errors import FaultError, HomeError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.engines.engine import Engine
from smartcart_pipeline.engines.sql import boolean, identifier, parquet, unquoted
from smartcart_pipeline.orchestration.assets import OWNERS, makes, source_version
from smartcart_pipeline.orchestration.faults import naming_the_fault
from smartcart_pipeline.orchestration.io_manager import NOTE
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Fitted, Lake
from smartcart_pipeline.storage.models import PublishedNight, Record, read_record
from smartcart_pipeline.storage.warehouse import now

VERBS = (choosing, conditions, counting, groups, people, reading)
READ = ("cleaned", "features", "clusters", "profiles", "segment_membership")


@makes(
    "audiences",
    {
        "audiences": VERBS,
        "audience_segments": VERBS,
        "audience_overlaps": VERBS,
        "audience_stays": (*VERBS, stays),
        "audience_changes": (*VERBS, stays, changes),
        "deliveries": (deliveries,),
    },
    after=READ,
)
def choosing_audiences(
    engine: dg.ResourceParam[Engine],
    lake: dg.ResourceParam[Lake],
    home: dg.ResourceParam[Home],
    declaration: dg.ResourceParam[Declaration],
    cleaning_figures: nw.LazyFrame,
) -> Iterator[dg.Output[Any]]:
    """`audiences`: an audience. `audience_stays`: a stay in one. `audience_changes`: who entered or left tonight."""
    local, as_of = engine.local, engine.rows(cleaning_figures)[0]["as_of_date"]
    # Whatever engine has made the tables, customers are chosen where the warehouse is built: conditions are its SQL.
    for name in READ:
        local.scan(lake.path(name), name)
    with naming_the_fault():
        record = read_record(home)
        so_far = _read_stays(lake, record, declaration)
        if home.audiences_file.is_file():
            opening.require_ids(declaration, home)
        chosen = choose_customers(local.connection, home, declaration, as_of, so_far)
    read = nw.from_native(local.connection.sql(chosen.people.select(chosen.read)))
    segments = counting.count_segments(chosen)
    yield dg.Output(Fitted(counting.count_audiences(chosen, segments), [read]), "audiences")
    yield dg.Output(Fitted(segments, [read]), "audience_segments")
    yield dg.Output(Fitted(counting.count_overlaps(chosen), [read]), "audience_overlaps")
    later = record.after(as_of)
    added = stays.add_night(
        chosen, so_far, as_of, later.as_of_date if later else None, is_repeated=record.is_published(as_of)
    )
    yield dg.Output(Fitted(nw.from_native(local.connection.sql(added)), [read]), "audience_stays")
    rules, consents = _read_before(local, lake, record.before(as_of), chosen)
    changed = changes.find_changes(chosen, parquet(lake.path("audience_stays")), as_of, rules, consents)
    yield dg.Output(Fitted(nw.from_native(local.connection.sql(changed)), [read]), "audience_changes")
    with naming_the_fault():
        handed_out = [deliveries.as_row(each) for each in deliveries.read_all(home)]
    yield dg.Output(Fitted(handed_out), "deliveries")
    chosen.forget()


def _read_stays(lake: Lake, record: Record, declaration: Declaration) -> str | None:
    """Stays as the last night left them; none before the first, and where nobody is found again."""
    if record.last is None or declaration.contract.is_numbered:
        return None
    kept = lake.path_of(record.last.run_id, "audience_stays")
    if kept is None and lake.path_of(record.last.run_id, "audiences"):
        raise HomeError(
            f"{lake.root / 'audience_stays'}: who was in which audience after run {record.last.run_id[:8]}, the last "
            "one published, is missing. Put the lake back from a backup; nothing was published, and nothing is lost."
        )
    return parquet(kept) if kept else None


def _read_before(
    local: DuckDBEngine, lake: Lake, before: PublishedNight | None, chosen: Chosen
) -> tuple[dict[str, Rule], dict[str, str]]:
    """The rules of the audiences of the night before, and who consented then."""
    run_id = before.run_id if before else ""
    defined, cleaned = lake.path_of(run_id, "audiences"), lake.path_of(run_id, "cleaned")
    known_before = f"FROM {parquet(defined)} WHERE NOT is_segment" if defined else ""
    rows = local.connection.sql(known_before).to_arrow_table().to_pylist() if known_before else []
    rules = {each.name: each.rule for each in map(from_row, rows)}
    if cleaned is None:
        return rules, {}
    known = {row[0] for row in local.connection.execute(f"DESCRIBE FROM {parquet(cleaned)}").fetchall()}
    asked = {each.consent for each in chosen.audiences.listed} & known
    return rules, {
        name: f"(SELECT {KEY}, {boolean(identifier(name))} AS was FROM {parquet(cleaned)})" for name in sorted(asked)
    }


@dg.asset(
    deps=["warehouse"],
    description="The lists of those audiences that every night hands out: files in the home, each with what changed "
    "since it was handed out last.",
    group_name="audiences",
    owners=OWNERS,
    kinds={"csv"},
    code_version=source_version(deliveries, opening),
)
def audience_lists(context: dg.AssetExecutionContext, home: dg.ResourceParam[Home]) -> dg.MaterializeResult[Any]:
    """A delivery of each, unless this publication has been handed out."""
    done: list[Delivery] = []
    notes: list[str] = []
    with naming_the_fault(), open_published(home) as opened:
        for each in opened.nightly:
            notes += _hand_out(home, opened, each, done)
    for note in notes:
        context.log.warning(note)
    sizes = {f"customers of {each.audience}": each.rows for each in done}
    return dg.MaterializeResult(
        metadata={"audiences": len(done), **sizes, **({NOTE: " ".join(notes)} if notes else {})}
    )


def _hand_out(home: Home, opened: Published, audience: Audience, done: list[Delivery]) -> Iterator[str]:
    """Hand out an audience, whatever becomes of the others, and tell what people should know of it."""
    name, earlier = audience.name, read_deliveries(home, audience.name)
    if earlier and earlier[-1].run_id == opened.run[0]:
        # A run that is started again hands nothing out twice.
        tidy(home, earlier)
        return
    if earlier and earlier[-1].as_of_date > opened.run[1].isoformat():
        yield (
            f"{name} is not handed out: this night counts to {opened.run[1]}, and what the other side has is of "
            f"{earlier[-1].as_of_date}. Who has withdrawn consent since would be on it again."
        )
        return
    try:
        at = now().replace(microsecond=0).isoformat()
        done.append(deliver(home, opened, audience, opened.run, at))
    except (FaultError, duckdb.Error) as error:
        told = str(error) if isinstance(error, FaultError) else unquoted(error)
        yield f"{name} is not handed out: {told}"
        return
    if done[-1].removed > earlier[-1].rows / 2 if earlier else False:
        yield f"{name}: {done[-1].removed:,} of {earlier[-1].rows:,} customers were taken off the list."
