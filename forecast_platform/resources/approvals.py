"""A person's word on a model: approve or reject a challenger, roll a champion back.

Written into the manifest (`promotion`), so that the next scoring follows; into `promotion_log`, so
that it is never forgotten, nor undone when a week is made again; and into the registry. The rule's
own verdicts are the business of the promotion asset.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from forecast_platform.errors import DecisionRefused, TableMissing
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.decisions import PERSON, Decision, append_log
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.manifest import PROMOTION, Manifest, Row
from forecast_platform.resources.provenance import made_from
from forecast_platform.resources.publishing import Note, publish
from forecast_platform.resources.registry import Registry
from forecast_platform.schemas.models import (
    APPROVED,
    PENDING,
    REJECTED,
    ROLLED_BACK,
    Promotion,
)
from forecast_platform.schemas.tables import as_table
from forecast_platform.vocabulary import CUTOFF, ENSEMBLE, SEGMENT, WEEK

VERBS: Final = {"approve": APPROVED, "reject": REJECTED, "rollback": ROLLED_BACK}


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a person wants.

    Parameters
    ----------
    verdict : {"approved", "rejected", "rolled_back"}
    region : str
    segments : Sequence[str], default=()
        Which; empty means all that the verdict can be about.
    version : int or None, default=None
        A version that did not wait for approval, to be put into service all the same; of one
        segment.
    who, why : str
        Kept in the log.
    decided_at : str
        ISO 8601, UTC.
    run_id : str
        Dagster run, or the command.
    """

    verdict: str
    region: str
    segments: Sequence[str] = ()
    version: int | None = None
    who: str
    why: str
    decided_at: str
    run_id: str


def decide(order: Order, lake: Lake, registry: Registry) -> pd.DataFrame:
    """Carry a decision out: the next forecasts of the region follow it.

    The newest week of the region's manifest is written anew, under the lock that the promotion
    asset takes, so that neither loses what the other writes.

    Returns
    -------
    pandas.DataFrame
        The rows of `promotion` that were changed.

    Raises
    ------
    DecisionRefused
        If there is nothing that could be decided so.
    RegistryUnavailable
        If the registry cannot be reached: nothing was changed.
    """
    if not order.who.strip() or not order.why.strip():
        raise DecisionRefused("say who decides and why: both are kept in promotion_log")
    with registry.exclusive([order.region]):
        rows = _promotions(lake, order.region)
        manifest = Manifest(rows)
        chosen = [_changed(order, manifest, row, registry) for row in _targets(order, manifest)]
        _write(order, lake, rows, chosen)
        append_log(lake, [_logged(order, manifest, row) for row in chosen], run_id=order.run_id)
        publish(registry, Manifest(_promotions(lake, order.region)), _notes(order, chosen))
    return pd.DataFrame(chosen)


def _promotions(lake: Lake, region: str) -> pd.DataFrame:
    if not lake.exists(PROMOTION):
        raise TableMissing("nothing was judged yet: forecast-platform run")
    rows = lake.read(PROMOTION, region=region)
    if rows.empty:
        raise DecisionRefused(f"no model of {region!r} was judged yet: forecast-platform status")
    return rows


def _targets(order: Order, manifest: Manifest) -> list[Row]:
    """Choose the rows of the manifest that the order is about."""
    rows = {row[SEGMENT]: row for row in manifest.newest.values() if row["kind"] == ENSEMBLE}
    unknown = sorted(set(order.segments) - set(rows))
    if unknown:
        known = ", ".join(sorted(rows))
        raise DecisionRefused(f"{order.region} has no segment {', '.join(unknown)}; it has {known}")
    asked = [rows[one] for one in order.segments or sorted(rows)]
    if order.version is not None and len(asked) != 1:
        raise DecisionRefused("a version is of one segment: name it with --segment")
    possible = [row for row in asked if order.version is not None or _can(order, manifest, row)]
    if (len(possible) < len(asked) and order.segments) or not possible:
        refused = [str(row[SEGMENT]) for row in asked if row not in possible]
        raise DecisionRefused(
            f"{', '.join(refused)} of {order.region}: {_why_not(order, manifest)}"
        )
    return possible


def _can(order: Order, manifest: Manifest, row: Row) -> bool:
    if order.verdict == ROLLED_BACK:
        return manifest.previous(str(row["model_name"])) is not None
    return row["verdict"] == PENDING


def _why_not(order: Order, manifest: Manifest) -> str:
    if order.verdict == ROLLED_BACK:
        return "there is no former champion to go back to"
    waiting = [str(row[SEGMENT]) for row in manifest.newest.values() if row["verdict"] == PENDING]
    told = f"waiting is {', '.join(waiting)}" if waiting else "nothing waits"
    return f"no challenger waits for approval ({told}); --version N approves another one"


def _changed(order: Order, manifest: Manifest, row: Row, registry: Registry) -> dict[str, Any]:
    """Make the manifest's new row."""
    said = Decision(order.verdict, order.who, order.why)
    changed = dict(row) | {"verdict": order.verdict, "reason": said.words}
    if order.verdict == ROLLED_BACK:
        former = manifest.previous(str(row["model_name"]))
        if former is None:
            raise DecisionRefused(f"{row['model_name']} has no former champion")
        changed["challenger_version"] = row["champion_version"]
        return changed | {name: former[name] for name in _SERVING}
    if order.verdict == APPROVED:
        version = int(order.version or row["challenger_version"])
        found = registry.find(str(row["model_name"]), version)
        if found.cutoff > row[WEEK]:
            raise DecisionRefused(
                f"version {version} knows weeks up to {found.cutoff:%Y-%m-%d}, after the newest "
                f"judged one, {row[WEEK]:%Y-%m-%d}"
            )
        return changed | {
            "challenger_version": version,
            "champion_version": version,
            "sha256": found.sha256,
            "artifact_uri": found.artifact_uri,
            CUTOFF: found.cutoff,
        }
    return changed


_SERVING: Final = ("champion_version", "sha256", "artifact_uri", CUTOFF)


def _write(order: Order, lake: Lake, rows: pd.DataFrame, chosen: Sequence[dict[str, Any]]) -> None:
    """Write the weeks of the changed rows anew, with all their other rows."""
    names = {(row["model_name"], row[WEEK]) for row in chosen}
    weeks = sorted({row[WEEK] for row in chosen})
    same = rows[rows[WEEK].isin(weeks)]
    pairs = zip(same["model_name"], same[WEEK], strict=True)
    others = same[[pair not in names for pair in pairs]]
    changed = as_table(pd.DataFrame(chosen), Promotion)
    table = Promotion.validate(pd.concat([as_table(others, Promotion), changed]))
    version = lake.version(PROMOTION)
    lake.write(
        PROMOTION,
        table,
        [RegionWeek(order.region, week) for week in weeks],
        run_id=order.run_id,
        provenance=made_from({PROMOTION: version}, decision=order.verdict, who=order.who),
    )


def _logged(order: Order, manifest: Manifest, row: dict[str, Any]) -> dict[str, Any]:
    before = manifest.champion(str(row["model_name"]))
    return {
        **{name: row[name] for name in ("region", WEEK, SEGMENT, "model_name", "verdict")},
        "mode": PERSON,
        "version": row["challenger_version"],
        "champion_before": None if before is None else before["champion_version"],
        "champion_after": row["champion_version"],
        "who": order.who,
        "why": order.why,
        "numbers_json": "[]",
        "decided_at": order.decided_at,
        "run_id": order.run_id,
    }


def _notes(order: Order, chosen: Sequence[dict[str, Any]]) -> list[Note]:
    return [
        Note(
            str(row["model_name"]),
            int(row["challenger_version"]),
            {"verdict": order.verdict, "verdict_reason": row["reason"]},
        )
        for row in chosen
    ]
