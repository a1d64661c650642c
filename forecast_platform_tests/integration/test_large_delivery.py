"""The memory that a delivery takes does not grow as its rows do, nor as the files do."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import delivery

ROWS = 1_000_000
MAX_MB_PER_MILLION = 580
"""Measured: 470 above what the process takes before; with all rows as text it was 720."""

MAX_MB_OF_CONDITIONING = 620
"""Measured: 500, most of it DuckDB's; with the marts held whole it was 605."""

WEEKS = 25
ROWS_OF_A_REGION_WEEK = 100_000
MAX_MB_OF_HISTORY = 300
"""Measured: 160 above what the process takes before; the file has 530."""

READ = """
import json, sys
import pandas as pd
from benchmarks.memory import peak_mib
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.landing import Landing

landing = Landing(uri=sys.argv[1], sources_file=sys.argv[2])
base = peak_mib()
found = landing.read("shipments", [RegionWeek("south", pd.Timestamp("2024-01-29").as_unit("us"))])
print(json.dumps({
    "bad": list(found.bad.values()), "rows": len(found.rows), "files": len(found.files),
    "elsewhere": sum(found.elsewhere.values()), "mb": peak_mib() - base,
}))
"""


@pytest.mark.slow
def test_a_million_rows_go_to_the_marts_with_little_memory():
    found = delivery.measure(ROWS)

    taken, conditioned = found["take_in"], found["condition"]
    assert taken["rows"] == ROWS
    assert taken["peak_mb"] - taken["base_mb"] < MAX_MB_PER_MILLION
    assert conditioned["rows"] > 0.99 * ROWS, "a series begins with its first unit"
    assert conditioned["peak_mb"] - conditioned["base_mb"] < MAX_MB_OF_CONDITIONING


@pytest.mark.slow
def test_one_region_week_of_a_history_is_taken_in_without_holding_the_history(tmp_path: Path):
    file = tmp_path / "landing/history.csv"
    file.parent.mkdir()
    lines = "".join(
        f"S{row % 997:03d},P{row // 997:03d},@,{row % 499},{'x' * 80},%\n"
        for row in range(ROWS_OF_A_REGION_WEEK)
    )
    with file.open("w") as out:
        out.write("store_id,product_id,week,units_shipped,note,area\n")
        for week in pd.date_range("2024-01-01", periods=WEEKS, freq="7D"):
            for region in ("north", "south"):
                out.write(lines.replace("@", f"{week:%Y-%m-%d}").replace("%", region))
    source = {"path": "history.csv", "required": "weekly", "columns": {"region": "area"}}
    described = tmp_path / "sources.yaml"
    described.write_text(json.dumps({"sources": {"shipments": source}}))

    command = [sys.executable, "-c", READ, str(file.parent), str(described)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    found = json.loads(done.stdout.splitlines()[-1])
    assert found["bad"] == []
    assert found["files"] == 1
    assert found["rows"] == ROWS_OF_A_REGION_WEEK
    assert found["elsewhere"] == (2 * WEEKS - 1) * ROWS_OF_A_REGION_WEEK
    assert file.stat().st_size > 1.5 * MAX_MB_OF_HISTORY * 1024**2
    assert found["mb"] < MAX_MB_OF_HISTORY, found
