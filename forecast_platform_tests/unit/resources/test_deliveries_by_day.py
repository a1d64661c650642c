"""Files whose path names the day of their delivery, and rows that no partition takes."""

from pathlib import Path

import pandas as pd
import pytest

from forecast_platform.errors import BadSources
from forecast_platform.partitions import RegionWeek, parse_week
from forecast_platform.resources.landing import Delivery, Landing

HEADER = "store_id,product_id,week,units_shipped"
BY_DAY = "shipments/{region}/{ds}/{delivered}.csv"
WEEK, NEXT, THIRD = (
    RegionWeek("north", parse_week(day).as_unit("us"))
    for day in ("2024-03-04", "2024-03-11", "2024-03-18")
)


def landing(tmp_path: Path, *lines: str, source: str = "shipments") -> Landing:
    file = tmp_path / "sources.yaml"
    described = ["required: weekly", *lines]
    file.write_text("\n".join(["sources:", f"  {source}:", *(f"    {line}" for line in described)]))
    return Landing(uri=str(tmp_path / "landing"), sources_file=str(file))


def put(tmp_path: Path, name: str, *rows: str, header: str = HEADER) -> None:
    path = tmp_path / "landing" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")


def known(delivery: Delivery) -> list[tuple[str, str]]:
    """Week and day of knowledge of every row."""
    rows = delivery.rows
    return list(zip(rows["week"].astype(str), rows["known_on"].astype(str), strict=True))


# {delivered}: the week of the delivery, and the days of grace after the close


@pytest.mark.parametrize(
    ("delivered", "grace", "week", "known_on"),
    [
        ("2024-03-10", None, "2024-03-04", "2024-03-10"),  # Sunday: the week's last day
        ("2024-03-11", None, "2024-03-04", "2024-03-10"),  # Monday counts as of the close
        ("2024-03-12", None, "2024-03-11", "2024-03-12"),
        ("2024-03-12", 2, "2024-03-04", "2024-03-10"),
        ("2024-03-11", 0, "2024-03-11", "2024-03-11"),
        ("2024-03-20", None, "2024-03-18", "2024-03-20"),
    ],
)
def test_a_delivery_counts_from_the_close_that_it_was_there_for(
    tmp_path: Path, delivered: str, grace: int | None, week: str, known_on: str
):
    lines = [] if grace is None else [f"known_within_days: {grace}"]
    put(tmp_path, f"shipments/north/2024-03-04/{delivered}.csv", "S1,P1,2024-03-04,1")

    found = landing(tmp_path, f"path: '{BY_DAY}'", *lines).read("shipments", [WEEK, NEXT, THIRD])

    assert known(found) == [(week, known_on)]


def test_what_was_not_known_at_the_close_has_no_days_of_grace(tmp_path: Path):
    put(
        tmp_path,
        "weather/north/2024-03-11.csv",
        "78201,2024-03-13,forecast,2024-03-11,20,0,0",
        header="zip,day,kind,issued_on,temperature_c,precipitation_mm,snow_cm",
    )
    weather = landing(tmp_path, "path: 'weather/{region}/{delivered}.csv'", source="weather")

    assert known(weather.read("weather", [WEEK, NEXT])) == [("2024-03-11", "2024-03-11")]


@pytest.mark.parametrize(
    ("lines", "source"),
    [
        (["path: 'shipments/{region}/{week}.csv'", "known_within_days: 2"], "shipments"),
        (["path: 'weather/{region}/{delivered}.csv'", "known_within_days: 2"], "weather"),
        (["path: 'stores/{region}/{ds}/{delivered}.csv'"], "stores"),
    ],
)
def test_keys_that_would_mean_nothing_are_refused(tmp_path: Path, lines: list[str], source: str):
    with pytest.raises(BadSources, match=r"known_within_days is for|\{ds\} is for"):
        landing(tmp_path, *lines, source=source).sources()


def test_a_file_named_by_its_week_is_a_correction_when_it_comes_after_the_days_of_grace(
    tmp_path: Path,
):
    for name in ("2024-03-08", "2024-03-11", "2024-03-13"):
        put(tmp_path, f"shipments/north/2024-03-04/{name}.csv", "S1,P1,2024-03-04,1")
    area = landing(tmp_path, "path: 'shipments/{region}/{week}/{delivered}.csv'")

    in_time = ("2024-03-04", "2024-03-10")
    assert known(area.read("shipments", [WEEK])) == [in_time, in_time]
    assert known(area.read("shipments", [NEXT])) == [("2024-03-11", "2024-03-13")]


# {ds}: the week that the rows are about


def test_rows_of_another_week_than_the_path_names_are_refused(tmp_path: Path):
    put(
        tmp_path,
        "shipments/north/2024-03-04/2024-03-20.csv",
        "S1,P1,2024-03-04,1",
        "S1,P2,2024-03-11,2",
        "S1,P3,soon,3",
    )

    (none, *refused) = (
        landing(tmp_path, f"path: '{BY_DAY}'").read("shipments", [THIRD]).rows["refusal"]
    )

    assert pd.isna(none)
    assert all('"code": "other_week"' in str(one) for one in refused)
    assert "2024-03-04" in refused[0]


def test_a_path_whose_week_is_no_monday_is_read_by_nobody_and_named(tmp_path: Path):
    put(tmp_path, "shipments/north/2024-03-05/2024-03-08.csv", "S1,P1,2024-03-04,1")
    area = landing(tmp_path, f"path: '{BY_DAY}'")

    assert area.read("shipments", [WEEK]).rows.empty
    assert area.unmatched() == ["shipments/north/2024-03-05/2024-03-08.csv"]


# nothing is silent


def test_files_that_no_source_reads_are_named(tmp_path: Path):
    put(tmp_path, "shipments/north/2024-03-04.csv", "S1,P1,2024-03-04,1")
    put(tmp_path, "shipments/north/2024-03-04.csv.tmp", "S1,P1,2024-03-04,1")
    put(tmp_path, "Shipment/north/2024-03-04.csv", "S1,P1,2024-03-04,1")
    put(tmp_path, "codes.csv", "1,a", header="number,name")
    area = landing(
        tmp_path,
        "path: 'shipments/{region}/{week}.csv'",
        "query: select * from delivered",
        "tables: {codes: {path: codes.csv}}",
    )

    assert area.unmatched() == [
        "Shipment/north/2024-03-04.csv",
        "shipments/north/2024-03-04.csv.tmp",
    ]


def test_rows_of_other_regions_and_weeks_are_counted(tmp_path: Path):
    put(
        tmp_path,
        "shipments.csv",
        "S1,P1,2024-03-04,1,north",
        "S2,P1,2024-03-04,1,nroth",
        "S3,P1,2024-03-04,1,nroth",
        "S4,P1,2024-03-04,1,",
        "S1,P1,2001-01-01,1,north",
        header=f"{HEADER},area",
    )
    area = landing(tmp_path, "path: shipments.csv", "columns: {region: area}")

    delivery = area.read("shipments", [WEEK])

    assert len(delivery.rows) == 1
    assert {(key.region, str(key.week.date())): n for key, n in delivery.elsewhere.items()} == {
        ("nroth", "2024-03-04"): 2,
        ("", "2024-03-04"): 1,
        ("north", "2001-01-01"): 1,
    }


def test_a_file_of_many_weeks_says_which_region_weeks_it_has(tmp_path: Path):
    put(tmp_path, "shipments/north.csv", "S1,P1,2024-03-04,1", "S1,P1,2024-03-11,1")
    area = landing(tmp_path, "path: 'shipments/{region}.csv'")

    (file,) = area.files_of_many()

    assert set(area.places_in(file)) == {WEEK, NEXT}


def test_rows_of_a_region_week_have_their_digest_wherever_they_stand_in_a_file(tmp_path: Path):
    area = landing(tmp_path, "path: 'shipments/{region}.csv'")

    def digests(*rows: str) -> dict[RegionWeek, str]:
        put(tmp_path, "shipments/north.csv", *rows)
        (file,) = area.files_of_many()
        read = area.read("shipments", [WEEK, NEXT])
        found = {one.key: one.rows_sha256 for one in read.files}
        assert found == area.places_in(file)
        return found

    first, second, later = "S1,P1,2024-03-04,1", "S2,P1,2024-03-04,2", "S1,P1,2024-03-11,1"
    before = digests(first, second)

    assert digests(later, first, second)[WEEK] == before[WEEK]
    assert digests(first, later, second)[WEEK] == before[WEEK]
    assert digests(first, "S2,P1,2024-03-04,3")[WEEK] != before[WEEK]
    assert digests(first)[WEEK] != before[WEEK]
    assert digests(second, first)[WEEK] != before[WEEK], "of two rows of a key the last one counts"


# settling


def test_the_platform_says_how_long_files_settle_unless_the_source_does(tmp_path: Path):
    put(tmp_path, "shipments/north/2024-03-04.csv", "S1,P1,2024-03-04,1")
    path = "path: 'shipments/{region}/{week}.csv'"

    waiting = landing(tmp_path, path).model_copy(update={"settle_seconds": 60})
    assert "may still be written" in waiting.read("shipments", [WEEK]).bad[WEEK]

    own = landing(tmp_path, path, "settle_seconds: 0").model_copy(update={"settle_seconds": 60})
    assert len(own.read("shipments", [WEEK]).rows) == 1
