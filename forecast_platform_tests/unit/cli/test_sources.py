"""What ``forecast-platform sources`` says of a sources file and of the files it describes."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from forecast_platform import settings as settings_module
from forecast_platform.cli.app import app
from forecast_platform.settings import Settings

SOURCES = """\
sources:
  shipments:
    path: "{region}/{week}/sales*.csv"
    required: weekly
    delimiter: ";"
    decimal: ","
    columns: {store_id: Filiale, product_id: Artikel, week: KW, units_shipped: Menge}
    date_format: "%G-W%V"
  returns:
    path: all_returns.csv
    required: optional
    region: north
"""
BROKEN = """\
sources:
  shipments:
    path: "{region}/{weak}/*.csv"
    required: wekly
    delimeter: ";"
    decimal: ","
    thousands: ","
    columns:
      store: Filiale
      units_shipped: {sql: "replace(Menge"}
  return:
    path: x
  products:
    sql: {connection: "postgresql://user:secret@host/db", table: products}
    required: snapshot
    known_from: 2024-01-01
    region: north
"""


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A landing area of two weeks of sales, one file of returns, and the sources file."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    folder = tmp_path / "landing"
    for week, line in (("2024-03-04", "2024-W10"), ("2024-03-11", "2024-W11")):
        (folder / "north" / week).mkdir(parents=True)
        (folder / "north" / week / "sales_1.csv").write_text(
            f"Filiale;Artikel;KW;Menge\nS-1;P-1;{line};1,5\nS-1;P-2;{line};many\n"
        )
    (folder / "all_returns.csv").write_text(
        "store_id,product_id,week,units_returned\nS-1,P-1,2024-03-04,1\nS-1,P-1,2024-03-11,2\n"
    )
    file = tmp_path / "sources.yaml"
    file.write_text(SOURCES)
    settings = Settings(home=tmp_path / "home", landing_uri=str(folder), sources_file=file)
    monkeypatch.setattr(settings_module, "get_settings", lambda: settings)
    return folder


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["sources", *arguments], env={"TERM": "dumb"})


def said(result: Result) -> str:
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", result.output).split())


def broken(tmp_path: Path) -> str:
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN)
    return str(file)


class TestCheck:
    def test_a_right_file_has_no_problems(self, landing: Path) -> None:
        result = call("check", str(landing.parent / "sources.yaml"))

        assert result.exit_code == 0, result.output
        assert "nothing is wrong" in said(result)

    @pytest.mark.usefixtures("landing")
    def test_every_mistake_is_told_with_its_line(self, tmp_path: Path) -> None:
        file = broken(tmp_path)

        result = call("check", file)

        assert result.exit_code == 1
        told = {
            int(line.removeprefix(f"{file}:").split(":")[0]): line
            for line in result.stdout.splitlines()
        }
        for line, words in {
            2: "decimal and thousands are both",
            3: "{weak}",
            4: "Did you mean weekly?",
            5: "Did you mean delimiter?",
            9: "Did you mean store_id?",
            10: "is not SQL",
            11: "Did you mean returns?",
            14: "NAME of an environment variable",
        }.items():
            assert words in told[line]
        assert "8 problems" in said(result)

    @pytest.mark.usefixtures("landing")
    def test_a_password_in_the_file_is_not_repeated(self, tmp_path: Path) -> None:
        file = broken(tmp_path)

        for arguments in (["check", file], ["check", "--json", file]):
            assert "secret" not in call(*arguments).output
        assert "secret" not in call("preview", "products", "--file", file).output

    @pytest.mark.usefixtures("landing")
    def test_programs_read_the_problems_as_json(self, tmp_path: Path) -> None:
        result = call("check", "--json", broken(tmp_path))

        problems = json.loads(result.stdout)["problems"]
        assert result.exit_code == 1
        assert problems[1].keys() == {"line", "column", "key", "message"}
        assert (problems[1]["line"], problems[1]["key"]) == (3, "sources.shipments.path")

    def test_a_path_without_a_file_is_told_unless_nobody_asks(self, landing: Path) -> None:
        (landing / "all_returns.csv").unlink()
        file = str(landing.parent / "sources.yaml")

        assert "matches no file" in said(call("check", file))
        assert call("check", "--no-files", file).exit_code == 0

    @pytest.mark.usefixtures("landing")
    def test_a_file_that_is_not_there_is_no_traceback(self, tmp_path: Path) -> None:
        result = call("check", str(tmp_path / "none.yaml"))

        assert result.exit_code == 1
        assert "cannot be read" in said(result)
        assert "Traceback" not in result.output


class TestPreview:
    def test_it_shows_what_is_taken_and_what_is_refused_of_the_last_week(
        self, landing: Path
    ) -> None:
        result = call("preview", "shipments")

        assert result.exit_code == 0, result.output
        assert "shipments of north, 2024-03-11: 2 rows of north/2024-03-11/sales_1.csv" in said(
            result
        )
        assert "1 accepted, 1 refused" in said(result)
        assert "many is not a number with decimal mark ','" in said(result)
        assert not (landing.parent / "home" / "lake").exists()

    @pytest.mark.usefixtures("landing")
    def test_programs_read_rows_as_json(self) -> None:
        result = call("preview", "shipments", "--week", "2024-03-04", "--json")

        told = json.loads(result.stdout)
        assert told["week"] == "2024-03-04"
        assert [row["units_shipped"] for row in told["accepted"]] == [1.5]
        assert [(row["row"], row["code"]) for row in told["refused"]] == [(3, "unreadable")]

    @pytest.mark.usefixtures("landing")
    def test_of_a_file_of_many_weeks_it_shows_the_last(self) -> None:
        told = json.loads(call("preview", "returns", "--json").stdout)

        assert (told["region"], told["week"], told["rows_read"]) == ("north", "2024-03-11", 1)
        assert told["accepted"][0]["units_returned"] == 2

    def test_a_file_whose_rows_tell_their_regions_needs_no_region(self, landing: Path) -> None:
        (landing / "all_returns.csv").write_text(
            "store_id,product_id,week,units_returned,area\n"
            "S-1,P-1,2024-03-04,1,north\nS-1,P-1,2024-03-11,2,south\nS-1,P-1,2024-03-11,2,\n"
        )
        file = landing.with_name("sources.yaml")
        by_column = "columns: {region: area}"
        file.write_text(SOURCES.replace("region: north", by_column))

        told = json.loads(call("preview", "returns", "--json").stdout)

        assert (told["region"], told["week"], told["rows_read"]) == ("south", "2024-03-11", 1)

    @pytest.mark.usefixtures("landing")
    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["shipment"], 2, "Did you mean shipments?"),
            (["shipments", "--week", "2024-03-05"], 2, "here 2024-03-04"),
            (["shipments", "--week", "2024-03-18"], 2, "no file of shipments"),
            (
                ["shipments", "--week", "2024-03-18", "--region", "north"],
                1,
                "nothing of shipments was delivered for north|2024-03-18",
            ),
        ],
    )
    def test_what_is_not_there_is_said(self, arguments: list[str], code: int, words: str) -> None:
        result = call("preview", *arguments)

        assert result.exit_code == code
        assert words in said(result)
        assert "Traceback" not in result.output

    @pytest.mark.usefixtures("landing")
    def test_a_wrong_sources_file_leads_to_check(self, tmp_path: Path) -> None:
        result = call("preview", "shipments", "--file", broken(tmp_path))

        assert result.exit_code == 1
        assert "forecast-platform sources check" in said(result)


@pytest.mark.usefixtures("landing")
def test_sources_are_listed_with_their_files() -> None:
    rows = json.loads(call("list", "--json").stdout)

    assert [(row["source"], row["files"]) for row in rows] == [("shipments", 2), ("returns", 1)]
    assert "{region}/{week}/sales*.csv" in said(call("list"))


def test_the_schema_is_that_of_the_editors() -> None:
    told = json.loads(call("schema").stdout)

    assert told["$id"] == "sources.schema.json"


@pytest.mark.parametrize("command", [["sources", "check"], ["status"]])
def test_files_that_no_source_reads_are_named(landing: Path, command: list[str]):
    (landing / "north" / "2024-03-04" / "salse.csv").write_text("x")
    file = [str(landing.with_name("sources.yaml"))] if "check" in command else []
    assert CliRunner().invoke(app, ["regions", "add", "north"]).exit_code == 0

    result = CliRunner().invoke(app, [*command, *file], env={"TERM": "dumb"})

    assert result.exit_code == 0, result.output
    told = "1 delivered files are read by no source: north/2024-03-04/salse.csv"
    assert told in said(result)


def test_nothing_is_said_of_files_when_sources_read_them_all(landing: Path):
    result = call("check", str(landing.with_name("sources.yaml")))

    assert result.exit_code == 0
    assert "read by no source" not in said(result)
