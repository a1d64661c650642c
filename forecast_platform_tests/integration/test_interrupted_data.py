"""A data run that is killed, or run twice at once, leaves what one whole run leaves."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from forecast_platform.resources.lake import Lake
from forecast_platform.simulation import RetailerConfig, simulate

pytestmark = [pytest.mark.integration, pytest.mark.slow]

RETAILER = RetailerConfig(regions=("north",), stores_per_region=3, products=4, n_weeks=1)
KEY = f"north|{pd.Timestamp(RETAILER.first_week):%Y-%m-%d}"
SPOILED = "S-0,P-0,soon,1\n"
RUN = """
import json, os, signal, sys
import dagster as dg
from forecast_platform.assets.conditioned import conditioned_assets
from forecast_platform.assets.raw import raw_assets
from forecast_platform.resources.conditioning import Conditioning
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.landing import Landing

home, key, fatal, moment = sys.argv[1:]
write, written = Lake.write, []

def deadly(self, table, *arguments, **options):
    if moment == "before" and table == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    receipt = write(self, table, *arguments, **options)
    if moment == "after" and table == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    written.append(table)
    return receipt

Lake.write = deadly
instance = dg.DagsterInstance.ephemeral()
instance.add_dynamic_partitions("region", ["north"])
resources = {
    "landing": Landing(uri=home + "/landing"),
    "lake": Lake(uri=home + "/lake"),
    "conditioning": Conditioning(),
}
for assets in (raw_assets, conditioned_assets):
    dg.materialize(assets, instance=instance, resources=resources, partition_key=key)
print(json.dumps(written))
"""


def start(home: Path, fatal: str = "", moment: str = "") -> "subprocess.Popen[str]":
    """Start a run of the data stages that kills itself around the writing of one table."""
    command = [sys.executable, "-c", RUN, str(home), KEY, fatal, moment]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


def finish(run: "subprocess.Popen[str]") -> list[str]:
    out, err = run.communicate(timeout=300)
    assert run.returncode == 0, err[-4000:]
    return json.loads(out.splitlines()[-1])


def deliver(home: Path) -> Path:
    simulate(RETAILER, home / "landing", warts=())
    (file,) = (home / "landing/shipments/north").rglob("*.csv")
    file.write_text(file.read_text() + SPOILED)
    return home


def state(home: Path, tables: list[str]) -> dict[str, str]:
    """All rows of all tables, in an order of their own."""
    lake = Lake(uri=str(home / "lake"))
    found = {}
    for table in sorted(set(tables)):
        rows = lake.read(table)
        columns = sorted(rows.columns)
        found[table] = rows[columns].sort_values(columns, ignore_index=True).to_csv()
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, str]]:
    """The tables that an undisturbed run writes, and their rows."""
    home = deliver(tmp_path_factory.mktemp("whole"))
    written = finish(start(home))
    return written, state(home, written)


def test_what_killed_runs_left_is_made_whole_by_the_next(
    tmp_path: Path, whole: tuple[list[str], dict[str, str]]
):
    home = deliver(tmp_path)
    for fatal, moment in (
        ("raw_shipments", "after"),  # its rows are there, what was refused of them is not
        ("row_ledger", "before"),
        ("fct_weekly_demand", "after"),  # one mart is published, others are not
    ):
        killed = start(home, fatal, moment)
        told = killed.communicate(timeout=300)
        assert killed.returncode == -signal.SIGKILL, told

    finish(start(home))

    assert state(home, whole[0]) == whole[1]


def test_two_runs_of_a_region_week_at_once_leave_what_one_leaves(
    tmp_path: Path, whole: tuple[list[str], dict[str, str]]
):
    home = deliver(tmp_path)

    both = [start(home), start(home)]
    for run in both:
        finish(run)

    assert state(home, whole[0]) == whole[1]


def test_the_whole_run_refused_the_spoiled_row(whole: tuple[list[str], dict[str, str]]):
    _, rows = whole

    assert rows["quarantine"].count("soon") >= 1
    assert "fct_weekly_demand" in rows
