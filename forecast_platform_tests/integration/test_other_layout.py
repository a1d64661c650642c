"""One retailer's facts, delivered in two quite different layouts, become the same marts.

The second layout is that of examples/other_layout, with its very sources file.
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.assets.conditioned import conditioned_marts
from forecast_platform.assets.raw import raw_assets
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.conditioning import Conditioning
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.landing import Landing
from forecast_platform.schemas.conditioned import MARTS
from forecast_platform.schemas.raw import CONTRACTS
from forecast_platform.settings import PROJECT_ROOT
from forecast_platform.simulation.config import RetailerConfig
from forecast_platform.simulation.delivery import simulate

pytestmark = [pytest.mark.integration, pytest.mark.slow]

EXAMPLE = PROJECT_ROOT / "examples" / "other_layout"
REGIONS = ("north_texas", "florida")
WEEKS = list(pd.date_range("2023-12-11", periods=5, freq="7D").as_unit("us"))
"""Over the turn of a year: shipments come in one file a year."""

MAY_DIFFER = ["source_file", "source_row"]


def write_files() -> ModuleType:
    spec = spec_from_file_location("other_layout_write_files", EXAMPLE / "write_files.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def take_in(lake: Lake, landing: Landing) -> None:
    """Make the raw tables and the marts of all region-weeks in one run, as the platform does."""
    assets = [*raw_assets, conditioned_marts]
    definitions = dg.Definitions(
        assets=assets,
        jobs=[dg.define_asset_job("take_in", selection=assets)],
        resources={"lake": lake, "landing": landing, "conditioning": Conditioning()},
        executor=dg.in_process_executor,
    )
    first, last = RegionWeek(min(REGIONS), WEEKS[0]), RegionWeek(max(REGIONS), WEEKS[-1])
    tags = {
        "dagster/asset_partition_range_start": first.key,
        "dagster/asset_partition_range_end": last.key,
    }
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("region", sorted(REGIONS))
        done = definitions.resolve_job_def("take_in").execute_in_process(
            instance=instance, tags=tags
        )
    assert done.success


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Lake]:
    folder = tmp_path_factory.mktemp("layouts")
    config = RetailerConfig(
        regions=REGIONS,
        stores_per_region=4,
        products=6,
        first_week=WEEKS[0].date(),
        n_weeks=len(WEEKS),
    )
    simulate(config, folder / "plain")
    module = write_files()
    module.write_files(folder / "plain", folder / "other")
    lakes = Lake(uri=str(folder / "lake_plain")), Lake(uri=str(folder / "lake_other"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOP_URL", f"sqlite:///{folder / 'other' / module.DATABASE}")
        other = Landing(uri=str(folder / "other"), sources_file=str(EXAMPLE / "sources.yaml"))
        take_in(lakes[0], Landing(uri=str(folder / "plain")))
        take_in(lakes[1], other)
    return lakes


def rows_of(lake: Lake, table: str, order: list[str]) -> pd.DataFrame:
    found = lake.read(table)
    kept = found.drop(columns=[name for name in MAY_DIFFER if name in found])
    return kept.sort_values(order, ignore_index=True)


@pytest.mark.parametrize("mart", MARTS)
def test_both_layouts_give_the_same_mart_row_for_row(lakes: tuple[Lake, Lake], mart: str) -> None:
    order = list(MARTS[mart].to_schema().unique or [])

    plain, other = (rows_of(lake, mart, order) for lake in lakes)

    assert set(plain["region"]) == set(REGIONS)
    pd.testing.assert_frame_equal(plain, other, check_exact=True)


@pytest.mark.parametrize("source", CONTRACTS)
def test_both_layouts_give_the_same_raw_rows(lakes: tuple[Lake, Lake], source: str) -> None:
    contract = CONTRACTS[source]
    order = ["region", "week", *contract.key]

    plain, other = (rows_of(lake, contract.table, order) for lake in lakes)

    assert len(plain) > 0
    pd.testing.assert_frame_equal(plain, other, check_exact=True)


def test_no_row_of_either_layout_is_refused(lakes: tuple[Lake, Lake]) -> None:
    for lake in lakes:
        ledger = lake.read("row_ledger")
        assert lake.read("quarantine").empty
        assert set(ledger["source"]) == set(CONTRACTS)
    assert set(lakes[1].read("row_ledger")["format"]) == {"csv", "excel", "jsonl", "parquet", "sql"}
