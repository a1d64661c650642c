"""A week whose run failed on its way is forecast anyway, once, and by a run that says so."""

import dagster as dg
import pytest

from forecast_platform.automation.rescue import RESCUED, build_rescue_sensor, forecast_anyway

KEY = "north|2024-03-04"
RANGE = {
    "dagster/asset_partition_range_start": KEY,
    "dagster/asset_partition_range_end": KEY,
}
CHAIN = ("demand_features", "trained_ensembles", "forecasts")


def failed_run(fails_at: str, tags: dict[str, str], chain: tuple[str, ...] = CHAIN):
    """Run a chain of stand-ins that fails at one of them; return the instance and the result."""

    def stand_in(name: str, before: str | None):
        @dg.asset(name=name, deps=[before] if before else [])
        def made() -> None:
            if name == fails_at:
                raise dg.Failure(f"{name} fails in this test")

        return made

    instance = dg.DagsterInstance.ephemeral()
    assets = [stand_in(name, before) for before, name in zip((None, *chain), chain, strict=False)]
    result = dg.materialize(assets, instance=instance, raise_on_error=False, tags=tags)
    return instance, result


def asked(fails_at: str, tags: dict[str, str], chain: tuple[str, ...] = CHAIN):
    instance, result = failed_run(fails_at, tags, chain)
    run = instance.get_run_by_id(result.run_id)
    [event] = [one for one in result.all_events if one.is_run_failure] or [None]
    context = dg.build_run_status_sensor_context(
        sensor_name="rescue_sensor",
        dagster_instance=instance,
        dagster_run=run,
        dagster_event=event,
    ).for_run_failure()
    return run, build_rescue_sensor(running=True)(context)


@pytest.mark.parametrize(
    "tags", [RANGE, {"dagster/partition": KEY}], ids=["a-range", "one-region-week"]
)
def test_a_run_that_failed_at_training_is_rescued_for_its_own_region_week(tags):
    run, request = asked("trained_ensembles", tags)

    assert isinstance(request, dg.RunRequest)
    assert request.job_name == forecast_anyway.name
    assert request.run_key == run.run_id
    assert {name: request.tags[name] for name in tags} == tags
    assert request.tags[RESCUED] == run.run_id


@pytest.mark.parametrize(
    ("fails_at", "chain", "told"),
    [
        pytest.param("demand_features", CHAIN, "made no features", id="without-features"),
        pytest.param("after", (*CHAIN, "after"), "after it had forecast", id="already-forecast"),
        pytest.param("x", ("demand_features", "x"), "not to forecast", id="data-only"),
    ],
)
def test_what_cannot_or_need_not_be_rescued_is_left(fails_at, chain, told):
    _, skipped = asked(fails_at, RANGE, chain)

    assert isinstance(skipped, dg.SkipReason)
    assert told in skipped.skip_message
