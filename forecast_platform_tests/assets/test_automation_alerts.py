"""What happens in Dagster and in the tables reaches people, once."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.automation import alerts as alerts_module
from forecast_platform.automation.alerts import build_alert_sensor
from forecast_platform.automation.run_alerts import Span
from forecast_platform.automation.schedules import last_complete_week
from forecast_platform.partitions import RegionWeek, parse_key, region_weeks
from forecast_platform.resources.alerts.history import read_history
from forecast_platform.resources.alerts.resource import Alerts
from forecast_platform.resources.lake import Lake

WEEK = "2024-03-04"
CHECKED: dict[str, list[str]] = {}
"""Region-weeks that the check refuses."""

FAILING: set[str] = set()
"""Region-weeks whose asset fails."""


@dg.asset(partitions_def=region_weeks, backfill_policy=dg.BackfillPolicy.single_run())
def table(context: dg.AssetExecutionContext) -> None:
    if broken := FAILING.intersection(context.partition_keys):
        raise ValueError(f"no luck with {min(broken)}")


@dg.asset_check(asset=table, partitions_def=region_weeks)
def is_right(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    failed = CHECKED.get("failed", [])
    return dg.AssetCheckResult(
        passed=not failed,
        severity=dg.AssetCheckSeverity.WARN,
        description="units look wrong",
        metadata={"failed_region_weeks": dg.MetadataValue.json(failed)},
    )


@pytest.fixture(scope="module")
def disk_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance:
        instance.add_dynamic_partitions("region", ["north", "south"])
        yield instance


class Watch:
    """The sensor, ticking over one instance and one lake."""

    def __init__(self, instance: dg.DagsterInstance, lake: Lake, file: Path) -> None:
        self.instance, self.lake, self.file = instance, lake, file
        self.cursor: str | None = None
        self.tick()

    def tick(self) -> str:
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={
                "lake": self.lake,
                "alerts": Alerts(file=str(self.file), dagster_url="http://ui:3000"),
            },
        )
        result = build_alert_sensor(running=True, every_seconds=60)(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        return str(result.skip_reason.skip_message)

    def run(self, *keys: str) -> str:
        done = dg.materialize(
            [table, is_right],
            instance=self.instance,
            tags={
                "dagster/asset_partition_range_start": keys[0],
                "dagster/asset_partition_range_end": keys[-1],
            },
            raise_on_error=False,
        )
        return done.run_id

    def open(self) -> dict[str, str]:
        troubles = read_history(self.lake, alerts_module.datetime.now(alerts_module.UTC))
        return {one.latest.title: one.latest.happened for one in troubles.open_troubles().values()}


@pytest.fixture
def watch(disk_instance: dg.DagsterInstance, tmp_path: Path) -> Iterator[Watch]:
    file = tmp_path / "alerts.yaml"
    file.write_text("missed_after_hours: null")
    yield Watch(disk_instance, Lake(uri=str(tmp_path / "lake")), file)
    CHECKED.clear()
    FAILING.clear()


def test_a_failed_run_is_told_with_its_error_and_its_page(watch: Watch):
    FAILING.add(f"north|{WEEK}")

    run_id = watch.run(f"north|{WEEK}")
    told = watch.tick()

    [(title, happened)] = watch.open().items()
    assert told == "1 messages sent."
    assert title == f"materialization of north|{WEEK} failed in table"
    assert "no luck with north" in happened
    row = watch.lake.read("alert_log").iloc[0]
    assert row["link"] == f"http://ui:3000/runs/{run_id}"
    assert (row["region"], row["partition"]) == ("north", f"north|{WEEK}")


def test_a_run_that_mends_it_ends_the_trouble(watch: Watch):
    FAILING.add(f"north|{WEEK}")
    watch.run(f"north|{WEEK}")
    watch.tick()
    FAILING.clear()

    watch.run(f"south|{WEEK}")
    watch.tick()
    still = watch.open()
    watch.run("north|2024-02-26", "north|2024-03-11")
    watch.tick()

    assert len(still) == 1
    assert watch.open() == {}


def test_a_run_that_fails_and_is_mended_between_two_looks_leaves_nothing_open(watch: Watch):
    FAILING.add(f"north|{WEEK}")
    watch.run(f"north|{WEEK}")
    FAILING.clear()
    watch.run(f"north|{WEEK}")

    watch.tick()

    assert watch.open() == {}
    events = watch.lake.read("alert_log")["event"]
    assert sorted(events) == ["raised", "recovered", "sent", "sent"]


def test_a_failed_check_is_told_for_the_regions_that_failed(watch: Watch):
    CHECKED["failed"] = [f"south|{WEEK}"]

    watch.run(f"north|{WEEK}", f"south|{WEEK}")
    watch.tick()

    [(title, happened)] = watch.open().items()
    assert title == "south: table does not pass is_right"
    assert "units look wrong" in happened
    assert watch.lake.read("alert_log").iloc[0]["severity"] == "warning"

    CHECKED.clear()
    watch.run(f"south|{WEEK}")
    watch.tick()

    assert watch.open() == {}


def test_a_tick_that_is_lost_is_repeated_without_telling_twice(watch: Watch):
    FAILING.add(f"north|{WEEK}")
    watch.run(f"north|{WEEK}")
    before = watch.cursor
    watch.tick()

    watch.cursor = before
    again = watch.tick()

    assert again == "0 messages sent."
    assert sorted(watch.lake.read("alert_log")["event"]) == ["raised", "sent"]


def test_what_failed_before_the_sensor_was_switched_on_is_not_told(watch: Watch):
    FAILING.add(f"north|{WEEK}")
    watch.run(f"north|{WEEK}")

    late = Watch(watch.instance, watch.lake, watch.file)
    late.tick()

    assert late.open() == {}


def test_a_sink_that_does_not_answer_fails_no_tick(watch: Watch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NOWHERE", "http://127.0.0.1:9/")
    watch.file.write_text(
        "missed_after_hours: null\n"
        "sinks: {hook: {type: webhook, format: json, url_env: NOWHERE, max_tries: 1}}\n"
        "routes: [{to: [hook, log]}]"
    )
    FAILING.add(f"north|{WEEK}")
    watch.run(f"north|{WEEK}")

    told = watch.tick()

    assert told == "1 messages sent, 1 sinks did not take theirs."
    assert watch.tick() == "0 messages sent, 1 wait."


def forecasts_by(server: str, *, week: str = WEEK) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "region": ["north", "south"],
            "week": [pd.Timestamp(week)] * 2,
            "segment": ["large_fast"] * 2,
            "served_by": [server, "champion"],
            "failover_reason": [None if server == "champion" else "SHA-256 differs", None],
        }
    )


def states(state: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "region": ["north", "south"],
            "week": [pd.Timestamp(WEEK)] * 2,
            "segment": ["large_fast"] * 2,
            "state": [state, "no_champion"],
            "reason": ["SHA-256 differs", "never promoted"],
            "since": [pd.Timestamp(WEEK)] * 2,
        }
    )


def test_a_failover_is_told_until_the_champion_serves_again(watch: Watch):
    keys = [RegionWeek.of(region, WEEK) for region in ("north", "south")]
    watch.lake.write("failover_state", states("historical_average"), keys, run_id="a")
    watch.tick()

    [(title, happened)] = watch.open().items()
    assert title == "north large_fast is served by historical average, not its champion"
    assert "SHA-256 differs" in happened

    watch.lake.write("failover_state", states("champion"), keys, run_id="b")
    watch.tick()

    assert watch.open() == {}


def test_a_challenger_that_waits_for_a_person_is_told_until_it_is_decided(watch: Watch):
    row = {
        "region": "north",
        "week": pd.Timestamp(WEEK),
        "segment": "large_fast",
        "model_name": "demand-north-large-fast",
        "challenger_version": 7,
        "verdict": "pending",
        "reason": "MAPE 0.300",
    }
    key = RegionWeek.of("north", WEEK)
    watch.lake.write("promotion", pd.DataFrame([row]), [key], run_id="a")
    watch.tick()

    assert set(watch.open()) == {"north large_fast: version 7 waits for approval"}

    approved = pd.DataFrame([row | {"verdict": "approved"}])
    watch.lake.write("promotion", approved, [key], run_id="b")
    watch.tick()

    assert watch.open() == {}


def test_a_week_without_forecast_is_told_hours_after_the_schedule(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
):
    monday = pd.Timestamp(last_complete_week(alerts_module.datetime.now())) + pd.Timedelta(weeks=1)
    keys = [RegionWeek.of(region, WEEK) for region in ("north", "south")]
    watch.lake.write("forecasts", forecasts_by("champion"), keys, run_id="a")
    watch.file.write_text("missed_after_hours: 12")
    opened: list[set[str]] = []

    def tick_at(hours: int) -> None:
        moment = monday.tz_localize("UTC").to_pydatetime() + timedelta(hours=hours)
        monkeypatch.setattr(alerts_module, "datetime", _clock_at(moment))
        watch.tick()
        opened.append(set(watch.open()))

    tick_at(17)
    tick_at(19)

    week = monday - pd.Timedelta(weeks=1)
    assert opened[0] == set()
    assert opened[1] == {
        f"{region} has no forecast of the week {week:%Y-%m-%d}" for region in ("north", "south")
    }
    made = forecasts_by("champion", week=f"{week:%Y-%m-%d}")
    keys = [RegionWeek(region, week) for region in ("north", "south")]
    watch.lake.write("forecasts", made, keys, run_id="b")
    tick_at(20)
    assert opened[2] == set()


def _clock_at(moment):
    from datetime import datetime

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return moment

    return Clock


def test_a_table_that_cannot_be_read_blinds_one_look_only(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
):
    keys = [RegionWeek.of(region, WEEK) for region in ("north", "south")]
    watch.lake.write("failover_state", states("champion"), keys, run_id="a")
    FAILING.add(f"north|{WEEK}")
    watch.run(f"north|{WEEK}")
    with monkeypatch.context() as broken:
        broken.setattr(Lake, "weeks_of", _gone)
        watch.tick()

    assert "Cannot look for failover" in watch.open()
    assert "materialization of north|2024-03-04 failed in table" in watch.open()


def _gone(*arguments: object) -> None:
    from forecast_platform.errors import TableMissing

    raise TableMissing("its files were vacuumed")


@pytest.mark.parametrize(
    ("outer", "inner", "covers"),
    [
        pytest.param("north|2024-03-04", "north|2024-03-04", True, id="same"),
        pytest.param("north|2024-01-01..north|2024-04-01", "north|2024-03-04", True, id="range"),
        pytest.param("north|2024-03-04", "north|2024-01-01..north|2024-03-04", False, id="part"),
        pytest.param("south|2024-03-04", "north|2024-03-04", False, id="other-region"),
        pytest.param("north|2024-01-01..west|2024-04-01", "south|2024-03-04", True, id="between"),
        pytest.param("", "north|2024-03-04", False, id="no-partition"),
        pytest.param("", "", True, id="both-without"),
    ],
)
def test_a_run_covers_what_is_inside_of_it(outer: str, inner: str, covers: bool):
    regions = ["north", "south", "west"]

    assert Span.parse(outer).covers(Span.parse(inner), regions) is covers
    assert Span.parse(outer).text == outer
    assert outer == "" or parse_key(outer.partition("..")[0]).region == outer.partition("|")[0]
