"""One message about one trouble, none lost, none sent twice: whatever the receivers do."""

from datetime import timedelta

import pytest
from aiosmtpd.controller import Controller

from forecast_platform.resources.alerts.config import AlertsConfig
from forecast_platform.resources.alerts.history import read_history
from forecast_platform.resources.alerts.messages import Over
from forecast_platform.resources.lake import Lake
from forecast_platform.schemas.alerts import AlertLog, Kind, Severity
from forecast_platform_tests.receivers import Endpoint, Mailbox
from forecast_platform_tests.unit.alerts.conftest import NOW, MakeNotifier, an_alert

HOOK = {"type": "webhook", "format": "json", "url_env": "HOOK", "timeout_seconds": 5}
TO_HOOK = {"sinks": {"hook": HOOK}, "routes": [{"to": ["hook"]}]}
HOUR = timedelta(hours=1)


def titles(endpoint: Endpoint) -> list[str]:
    return [alert["title"] for body in endpoint.taken for alert in body["alerts"]]


def test_a_trouble_is_told_once_and_counted_until_the_window_is_over(
    endpoint: Endpoint, make_notifier: MakeNotifier
):
    for number in range(5):
        tick = make_notifier(TO_HOOK, HOOK=endpoint.url)
        tick.observe(NOW + number * HOUR, [an_alert(occurrence=f"run-{number}")])
        tick.deliver(NOW + number * HOUR)
    assert titles(endpoint) == ["one failed"]

    later = make_notifier(TO_HOOK, HOOK=endpoint.url)
    later.observe(NOW + 24 * HOUR, [])
    later.deliver(NOW + 24 * HOUR)

    assert [body["alerts"][0]["count"] for body in endpoint.taken] == [1, 5]
    assert endpoint.taken[1]["alerts"][0]["since"] == "2024-03-11 12:00 UTC"


def test_the_same_run_seen_again_is_no_second_occurrence(
    endpoint: Endpoint, make_notifier: MakeNotifier
):
    for hours in (0, 30, 60):
        tick = make_notifier(TO_HOOK, HOOK=endpoint.url)
        tick.observe(NOW + hours * HOUR, [an_alert()])
        tick.deliver(NOW + hours * HOUR)

    assert titles(endpoint) == ["one failed"]


def test_who_was_told_of_it_is_told_when_it_is_over(
    endpoint: Endpoint, make_notifier: MakeNotifier
):
    tick = make_notifier(TO_HOOK, HOOK=endpoint.url)
    tick.observe(NOW, [an_alert()])
    tick.deliver(NOW)

    for _ in range(2):
        tick = make_notifier(TO_HOOK, HOOK=endpoint.url)
        tick.observe(NOW + HOUR, [Over("one"), Over("never heard of")])
        tick.deliver(NOW + HOUR)

    assert titles(endpoint) == ["one failed", "Over: one failed"]
    assert endpoint.taken[1]["severity"] == "info"


def test_what_ends_within_one_look_is_told_in_order(
    endpoint: Endpoint, make_notifier: MakeNotifier
):
    tick = make_notifier(TO_HOOK, HOOK=endpoint.url)

    tick.observe(NOW, [an_alert(), Over("one"), an_alert(occurrence="run-2")])
    tick.deliver(NOW)

    assert sorted(titles(endpoint)) == ["Over: one failed", "one failed", "one failed"]
    assert "one" in tick.history(NOW).open_troubles()


def test_a_trouble_that_gets_worse_is_told_at_once(endpoint: Endpoint, make_notifier: MakeNotifier):
    tick = make_notifier(TO_HOOK, HOOK=endpoint.url)
    for number, severity in enumerate([Severity.WARNING, Severity.WARNING, Severity.ERROR]):
        now = NOW + number * timedelta(minutes=1)
        tick.observe(now, [an_alert(occurrence=f"{number}", severity=severity)])
        tick.deliver(now)

    assert [body["severity"] for body in endpoint.taken] == ["warning", "error"]


def test_alerts_of_a_kind_that_come_together_make_one_message(
    endpoint: Endpoint, make_notifier: MakeNotifier
):
    tick = make_notifier(TO_HOOK, HOOK=endpoint.url)

    tick.observe(NOW, [an_alert(f"region {number}") for number in range(14)])
    tick.deliver(NOW)

    [body] = endpoint.taken
    assert body["title"] == "14 alerts: run failed"
    assert len(body["alerts"]) == 14


def test_a_receiver_that_is_down_gets_everything_later_and_once(
    endpoint: Endpoint, make_notifier: MakeNotifier
):
    endpoint.statuses = [500] * 6
    now = NOW
    for number in range(12):  # each tick is a process of its own
        tick = make_notifier(TO_HOOK, HOOK=endpoint.url)
        tick.observe(now, [an_alert(f"trouble {number}")] if number < 2 else [])
        tick.deliver(now)
        now += timedelta(minutes=1)

    assert sorted(titles(endpoint)) == ["trouble 0 failed", "trouble 1 failed"]
    assert read_history(tick.lake, now).pending() == []


def test_the_same_try_is_repeated_under_the_same_id(
    endpoint: Endpoint, make_notifier: MakeNotifier
):
    endpoint.statuses = [404, 404]
    for minutes in (0, 1, 3, 60):
        tick = make_notifier(TO_HOOK, HOOK=endpoint.url)
        if not minutes:
            tick.observe(NOW, [an_alert("a"), an_alert("b")])
        tick.deliver(NOW + timedelta(minutes=minutes))

    assert len(endpoint.ids) == 3
    assert len(set(endpoint.ids)) == 1


def test_tries_become_rarer(endpoint: Endpoint, make_notifier: MakeNotifier):
    endpoint.statuses = [404] * 100
    for minutes in range(60):
        tick = make_notifier(TO_HOOK, HOOK=endpoint.url)
        if not minutes:
            tick.observe(NOW, [an_alert()])
        tick.deliver(NOW + timedelta(minutes=minutes))

    assert len(endpoint.asked) == 6


def test_one_dead_sink_holds_no_other_up(
    endpoint: Endpoint, mail_server: Controller, mailbox: Mailbox, make_notifier: MakeNotifier
):
    mail = {
        "type": "email",
        "host": "127.0.0.1",
        "port": mail_server.port,
        "security": "none",
        "sender": "a@example.org",
        "to": ["b@example.org"],
    }
    config = {"sinks": {"hook": HOOK, "mail": mail}, "routes": [{"to": ["hook", "mail"]}]}
    endpoint.statuses = [410]

    first = make_notifier(config, HOOK=endpoint.url)
    first.observe(NOW, [an_alert()])
    done = first.deliver(NOW)
    second = make_notifier(config, HOOK=endpoint.url)
    second.deliver(NOW + timedelta(minutes=1))

    assert (done.sent, list(done.failed)) == (1, ["hook"])
    assert len(mailbox.mails) == 1
    assert len(endpoint.taken) == 1


def test_a_process_that_dies_before_sending_loses_nothing(
    endpoint: Endpoint, make_notifier: MakeNotifier
):
    make_notifier(TO_HOOK, HOOK=endpoint.url).observe(NOW, [an_alert()])

    make_notifier(TO_HOOK, HOOK=endpoint.url).deliver(NOW)

    assert titles(endpoint) == ["one failed"]


def test_a_process_that_dies_after_sending_repeats_the_message_under_its_id(
    endpoint: Endpoint, make_notifier: MakeNotifier, monkeypatch: pytest.MonkeyPatch
):
    from forecast_platform.resources.alerts import notifier

    dying = make_notifier(TO_HOOK, HOOK=endpoint.url)
    dying.observe(NOW, [an_alert()])
    with monkeypatch.context() as broken:
        broken.setattr(notifier, "write_entries", _die)
        with pytest.raises(KeyboardInterrupt):
            dying.deliver(NOW)

    make_notifier(TO_HOOK, HOOK=endpoint.url).deliver(NOW)

    assert len(set(endpoint.ids)) == 1
    assert len(endpoint.ids) == 2


def _die(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_a_message_that_nobody_takes_for_days_is_given_up_into_the_log(
    endpoint: Endpoint, make_notifier: MakeNotifier, caplog: pytest.LogCaptureFixture
):
    endpoint.statuses = [404] * 10
    tick = make_notifier(TO_HOOK, HOOK=endpoint.url)
    tick.observe(NOW, [an_alert()])
    tick.deliver(NOW)

    done = make_notifier(TO_HOOK, HOOK=endpoint.url).deliver(NOW + 73 * HOUR)

    assert done.gave_up == 1
    assert "one failed" in caplog.text
    assert read_history(tick.lake, NOW + 73 * HOUR).pending() == []


def test_a_sink_that_left_the_file_is_told_and_does_not_stop_the_others(
    endpoint: Endpoint, make_notifier: MakeNotifier
):
    make_notifier(TO_HOOK, HOOK=endpoint.url).observe(NOW, [an_alert()])

    done = make_notifier({}).deliver(NOW)

    assert "no sink 'hook' any more" in done.failed["hook"]


def test_routes_choose_by_kind_severity_and_region():
    config = AlertsConfig.model_validate(
        {
            "sinks": {"a": HOOK, "b": HOOK},
            "routes": [
                {"to": ["a"], "kinds": ["drift"], "severity": "warning"},
                {"to": ["b", "log"], "regions": ["north"]},
            ],
        }
    )

    assert config.sinks_for(Kind.DRIFT, Severity.ERROR, "south") == ["a"]
    assert config.sinks_for(Kind.DRIFT, Severity.ERROR, "north") == ["a", "b", "log"]
    assert config.sinks_for(Kind.DRIFT, Severity.INFO, "north") == ["b", "log"]
    assert config.sinks_for(Kind.TEST, Severity.ERROR, "all") == ["log"]


def test_the_log_keeps_its_contract(endpoint: Endpoint, lake: Lake, make_notifier: MakeNotifier):
    endpoint.statuses = [404]
    tick = make_notifier(TO_HOOK, HOOK=endpoint.url)
    tick.observe(NOW, [an_alert(), an_alert("all over", region="all", partition=None)])
    tick.deliver(NOW)
    tick.observe(NOW + HOUR, [Over("one")])
    tick.deliver(NOW + HOUR)

    rows = lake.read("alert_log")

    AlertLog.validate(rows, lazy=True)
    assert set(rows["event"]) == {"raised", "failed", "sent", "recovered"}
    assert set(rows["region"]) == {"north", "all"}
