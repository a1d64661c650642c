import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from forecast_platform.assets.conditioned import MANIFEST, conditioned_marts, view_specs
from forecast_platform.partitions import RegionWeek, parse_week, region_weeks
from forecast_platform.resources import dbt_project
from forecast_platform.resources.conditioning import Conditioning
from forecast_platform.resources.conditioning_inputs import PLAN_LOOKBACK_WEEKS, RAW_TABLES, Box
from forecast_platform.resources.dbt_project import (
    PROJECT_DIR,
    ConditioningFailed,
    prepare_manifest,
)
from forecast_platform.resources.lake import Lake
from forecast_platform.schemas.conditioned import MARTS

SPECS = {spec.key.to_user_string(): spec for spec in conditioned_marts.specs}
VIEWS = {spec.key.to_user_string(): spec for spec in view_specs}
MODELS = {
    node["name"]: node for node in MANIFEST["nodes"].values() if node["resource_type"] == "model"
}
TYPES_OF = {
    "string": {"str", "string[pyarrow]"},
    "date": {"datetime64[us]", "datetime64[ns]"},
    "double": {"float64"},
    "bigint": {"int64"},
    "boolean": {"bool"},
}
W1, W2, W3 = parse_week("2024-03-04"), parse_week("2024-03-11"), parse_week("2024-03-18")


def test_marts_are_the_tables_of_the_contract() -> None:
    assert set(SPECS) == set(MARTS)
    assert all(spec.partitions_def == region_weeks for spec in SPECS.values())


@pytest.mark.parametrize("name", sorted(SPECS))
def test_mart_says_what_it_is(name: str) -> None:
    spec = SPECS[name]

    assert "Grain: one row per region, " in (spec.description or "")
    assert spec.group_name == "conditioned"
    assert spec.owners == ["team:data-engineering"]
    assert spec.kinds >= {"dbt", "duckdb", "deltalake"}
    assert spec.code_version
    assert "dagster/column_schema" in spec.metadata


@pytest.mark.parametrize("name", sorted(MODELS))
def test_model_has_a_description_that_ends_in_its_grain(name: str) -> None:
    assert "One row per " in MODELS[name]["description"]
    assert MODELS[name]["description"].endswith(".")


@pytest.mark.parametrize("name", sorted(SPECS))
def test_mart_waits_for_the_raw_assets_that_it_is_made_from(name: str) -> None:
    raw = {dep.asset_key.to_user_string() for dep in SPECS[name].deps} & set(RAW_TABLES)
    behind = {
        dep.asset_key.to_user_string()
        for view in SPECS[name].deps
        if (spec := VIEWS.get(view.asset_key.to_user_string()))
        for dep in spec.deps
    }

    assert raw
    assert behind <= raw


def test_views_are_shown_but_never_materialized() -> None:
    resources = {"lake": Lake(uri="nowhere"), "conditioning": Conditioning()}
    definitions = dg.Definitions(assets=[conditioned_marts, *view_specs], resources=resources)

    graph = definitions.resolve_asset_graph()

    assert all(spec.is_virtual and "view" in spec.kinds for spec in view_specs)
    assert graph.executable_asset_keys == {dg.AssetKey(name) for name in MARTS}


@pytest.mark.parametrize("name", sorted(MARTS))
def test_dbt_contract_and_pandera_contract_agree(name: str) -> None:
    promised = MARTS[name].to_schema().columns
    columns: Mapping[str, Any] = MODELS[name]["columns"]

    assert MODELS[name]["config"]["contract"]["enforced"]
    assert set(columns) == set(promised)
    for column, properties in columns.items():
        assert str(promised[column].dtype) in TYPES_OF[properties["data_type"]], column


@pytest.mark.parametrize("name", sorted(MARTS))
def test_key_of_the_mart_is_tested_and_blocks(name: str) -> None:
    checks = {
        spec.name: spec
        for spec in conditioned_marts.check_specs
        if spec.asset_key == dg.AssetKey(name)
    }

    assert checks["has_a_unique_key"].blocking
    assert checks["satisfies_schema"].blocking
    assert all(spec.description for spec in checks.values())


def test_dbt_and_the_loader_look_back_equally_far() -> None:
    text = (PROJECT_DIR / "dbt_project.yml").read_text()

    assert f"plan_lookback_weeks: {PLAN_LOOKBACK_WEEKS}\n" in text


def test_box_holds_the_same_consecutive_weeks_of_each_region() -> None:
    keys = [RegionWeek(region, week) for week in (W2, W1) for region in ("south", "north")]

    box = Box.of(keys)

    assert box == Box(("north", "south"), W1, W3)
    assert box.as_vars() == {
        "regions": ["north", "south"],
        "week_from": "2024-03-04",
        "week_to": "2024-03-18",
    }


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param([], "at least one", id="nothing"),
        pytest.param([("north", W1), ("south", W2)], "same weeks", id="not-a-box"),
        pytest.param([("north", W1), ("north", W3)], "consecutive", id="gap"),
        pytest.param([("x'; drop table", W1)], "not a region name", id="sql-in-region"),
        pytest.param([("north", W1 + (W2 - W1) / 7)], "Monday", id="not-a-monday"),
    ],
)
def test_other_sets_of_region_weeks_never_reach_dbt(keys, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Box.of(RegionWeek(*key) for key in keys)


def test_parsed_project_is_used_again_until_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[Path] = []

    def parse(project_dir: Path, target: Path) -> None:
        parsed.append(target)
        target.mkdir(parents=True)
        (target / "manifest.json").write_text(json.dumps({}))

    monkeypatch.setattr(dbt_project, "_parse", parse)
    (tmp_path / "models").mkdir()
    model = tmp_path / "models" / "one.sql"
    model.write_text("select 1 as one")

    first, again = prepare_manifest(tmp_path), prepare_manifest(tmp_path)
    model.write_text("select 2 as one")
    changed = prepare_manifest(tmp_path)

    assert first == again != changed
    assert len(parsed) == 2


def test_project_that_does_not_parse_says_why(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: [")

    with pytest.raises(ConditioningFailed, match="does not parse"):
        prepare_manifest(tmp_path)
