"""Refused rows are found, mended and taken by commands, as a person would type them."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from forecast_platform.resources.lake import Lake
from forecast_platform_tests.integration.test_cli import Call, command_in

pytestmark = [pytest.mark.integration, pytest.mark.slow]

WEEK = "2024-12-30"
REGION = "north_texas"
SPOILED = 3


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("quarantine") / "home"
    size = ["--regions", "1", "--stores", "6", "--products", "8", "--weeks", "1"]
    assert command_in(home)("simulate", *size, "--first-week", WEEK).returncode == 0
    file = home / "landing" / "shipments" / REGION / WEEK / "shipments.csv"
    header, *lines = file.read_text().splitlines()
    spoiled = [line.rsplit(",", 1)[0] + ",-7" for line in lines[:SPOILED]]
    file.write_text("\n".join([header, *spoiled, *lines[SPOILED:]]) + "\n")
    ran = command_in(home)("run", "--region", REGION, "--week", WEEK, "--select", "raw")
    assert ran.returncode == 0, ran.stderr[-3000:]
    return home


@pytest.fixture(scope="module")
def call(home: Path) -> Call:
    return command_in(home)


def ledger(home: Path) -> pd.Series:
    return Lake(uri=str(home / "lake")).read("row_ledger", where={"source": "shipments"}).iloc[0]


def units(home: Path) -> list[float]:
    rows = Lake(uri=str(home / "lake")).read("raw_shipments")
    return (
        rows[rows["source_row"] <= SPOILED + 1].sort_values("source_row")["units_shipped"].tolist()
    )


def test_a_refused_row_is_listed_mended_and_taken_from_then_on(home: Path, call: Call, tmp_path):
    (counted,) = json.loads(call("quarantine", "list", "--json").stdout)
    assert (counted["source"], counted["code"], counted["rows"]) == (
        "shipments",
        "out_of_bounds",
        SPOILED,
    )
    landed = {one: one.read_bytes() for one in (home / "landing").rglob("*.csv")}
    file = tmp_path / "mend.csv"
    exported = call("quarantine", "show", "--source", "shipments", "--csv", str(file))
    assert exported.returncode == 0, exported.stderr
    table = pd.read_csv(file, dtype=str)
    table["units_shipped"] = ["70", "71", "-1"]  # the last is still wrong
    table.to_csv(file, index=False)

    first = call("quarantine", "replay", str(file), "--who", "ann", "--why", "typed", "--no-run")
    assert first.returncode == 0, first.stderr
    assert f"run --region {REGION} --week {WEEK} --select data" in first.stdout
    for _ in range(2):  # also in every later run
        ran = call("run", "--region", REGION, "--week", WEEK, "--select", "raw")
        assert ran.returncode == 0, ran.stderr[-3000:]
        assert units(home) == [70, 71]
        one = ledger(home)
        assert one["rows_replayed"] == SPOILED
        assert json.loads(one["reasons"]) == {"out_of_bounds": 1}
        kept = one["rows_accepted"] + one["rows_quarantined"] + one["rows_duplicate"]
        assert one["rows_read"] == kept
    (left,) = json.loads(call("quarantine", "show", "--json").stdout)
    assert left["value"] == "-1.0"
    assert json.loads(left["row_json"])["units_shipped"] == "-1"

    again = call("quarantine", "replay", str(file), "--who", "ann", "--no-run")
    assert "0 rows kept" in again.stderr
    lake = Lake(uri=str(home / "lake"))
    assert len(lake.read("replayed_rows")) == SPOILED
    assert {one: one.read_bytes() for one in landed} == landed

    gone = call("quarantine", "discard", left["row_id"], "--why", "a test store", "--no-run")
    assert gone.returncode == 0, gone.stderr
    assert call("run", "--region", REGION, "--week", WEEK, "--select", "raw").returncode == 0
    assert json.loads(ledger(home)["reasons"]) == {"discarded": 1}


def test_two_replays_at_once_lose_nothing(home: Path, call: Call, tmp_path: Path):
    rows = Lake(uri=str(home / "lake")).read("replayed_rows").drop_duplicates("row_id")
    files = []
    for n, one in enumerate(rows.to_dict("records")[:2]):
        file = tmp_path / f"{n}.csv"
        values = json.loads(one["row_json"]) | {"units_shipped": str(500 + n)}
        pd.DataFrame([{"row_id": one["row_id"], **values}]).to_csv(file, index=False)
        files.append(file)

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda one: call("quarantine", "replay", str(one), "--no-run"), files))

    assert [one.returncode for one in done] == [0, 0], [one.stderr for one in done]
    texts = Lake(uri=str(home / "lake")).read("replayed_rows")["row_json"]
    assert {"500", "501"} <= {json.loads(text)["units_shipped"] for text in texts}


def test_a_row_of_another_delivery_is_told_and_nothing_is_done(call: Call, tmp_path: Path):
    file = tmp_path / "old.csv"
    pd.DataFrame([{"row_id": "0" * 24, "units_shipped": "1"}]).to_csv(file, index=False)

    result = call("quarantine", "replay", str(file))

    assert result.returncode == 2
    assert "export again" in result.stderr
