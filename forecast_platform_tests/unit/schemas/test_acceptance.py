"""Every delivered row is accepted, refused with a reason, or a duplicate."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform.schemas.acceptance import Accepted, accept
from forecast_platform.schemas.raw import CONTRACTS, DELIVERED_WEEK, Quarantine
from forecast_platform.schemas.tables import as_table

WEEK = pd.Timestamp("2024-03-04").as_unit("us")
SHIPMENT = {
    "store_id": "S1",
    "product_id": "P1",
    DELIVERED_WEEK: "2024-03-04",
    "units_shipped": "5",
    "region": "north",
    "week": WEEK,
    "known_on": WEEK + pd.Timedelta(days=6),
    "source_file": "a.csv",
    "source_row": 2,
}
EVENT = {
    "event": "fair",
    "starts_on": "2024-03-09",
    "ends_on": "2024-03-10",
    "scope": "store",
    "scope_id": "S1",
    "is_holiday": "false",
    "region": "north",
    "week": WEEK,
    "known_on": WEEK + pd.Timedelta(days=6),
    "source_file": "a.csv",
    "source_row": 2,
}


def shipments(*changes: dict) -> Accepted:
    return judged(
        "shipments", *[SHIPMENT | {"source_row": i + 2} | c for i, c in enumerate(changes)]
    )


def judged(source: str, *rows: dict) -> Accepted:
    return accept(pd.DataFrame(list(rows)), CONTRACTS[source])


def fates(accepted: Accepted) -> list[str]:
    """What became of each row, in order."""
    fate = dict.fromkeys(accepted.table.index, "accepted")
    fate |= dict.fromkeys(accepted.duplicates, "duplicate")
    fate |= dict(accepted.refused["reason"].items())
    return [fate[index] for index in accepted.delivered.index]


def test_a_right_row_is_accepted_with_its_origin():
    table = shipments({}).table

    assert table["units_shipped"].tolist() == [5.0]
    assert table[["source_file", "source_row"]].to_numpy().tolist() == [["a.csv", 2]]
    CONTRACTS["shipments"].schema.validate(as_table(table, CONTRACTS["shipments"].schema))


def test_leading_zeros_of_a_zip_are_kept():
    store = {
        "store_id": "0012",
        "zip": "00501",
        "format": "large",
        "opened_on": "2020-01-01",
        "closed_on": "",
    }
    origin = {
        name: SHIPMENT[name] for name in ("region", "week", "known_on", "source_file", "source_row")
    }

    table = judged("stores", store | origin).table

    assert table[["store_id", "zip"]].to_numpy().tolist() == [["0012", "00501"]]
    assert table["closed_on"].isna().all()


@pytest.mark.parametrize(
    ("change", "column", "reason"),
    [
        ({"units_shipped": "-1"}, "units_shipped", "fails greater_than_or_equal_to(0)"),
        ({"units_shipped": "10000001"}, "units_shipped", "fails less_than_or_equal_to(10000000.0)"),
        ({"units_shipped": "many"}, "units_shipped", "is not a plain number such as 12 or 0.5"),
        ({"store_id": ""}, "store_id", "is empty"),
        ({DELIVERED_WEEK: "2024-03-11"}, "week", "is not the week of its delivery, 2024-03-04"),
        ({DELIVERED_WEEK: "2024-03-05"}, DELIVERED_WEEK, "is not the Monday of a week, YYYY-MM-DD"),
    ],
)
def test_a_wrong_row_is_refused_with_its_column_and_reason(change: dict, column: str, reason: str):
    accepted = shipments({"product_id": "P2"}, change)

    assert len(accepted.table) == 1
    assert accepted.refused[["column", "reason"]].to_numpy().tolist() == [[column, reason]]


def test_the_quarantine_says_where_a_row_came_from_and_what_it_was():
    accepted = shipments({}, {"product_id": "P2", "units_shipped": "1_000"})

    row = Quarantine.validate(
        as_table(accepted.quarantine("shipments", {"a.csv": "abc", "b.csv": "def"}), Quarantine)
    ).iloc[0]

    assert (row["file"], row["row_number"], row["column"]) == ("a.csv", 3, "units_shipped")
    assert row["value"] == "1_000"
    assert json.loads(row["row_json"])["product_id"] == "P2"


@pytest.mark.parametrize("scope_id", ["Zürich-1", "S1'; drop", "S/1", "A|B", "\u200bS1"])
def test_an_event_in_a_store_code_with_odd_characters_is_quarantined(scope_id: str):
    accepted = judged("events", EVENT, EVENT | {"scope_id": scope_id, "source_row": 3})

    assert accepted.table["scope_id"].tolist() == ["S1"]
    assert accepted.refused[["column", "value"]].to_numpy().tolist() == [["scope_id", scope_id]]


def test_laws_between_columns_are_held():
    accepted = judged("events", EVENT | {"ends_on": "2024-03-08"})

    assert fates(accepted) == ["fails ends_after_it_starts"]


# the same key more than once

REPLACED = "was replaced by a later file of the same week"
AMBIGUOUS = "has the same key as another row of its file, with other values"


def test_an_exact_repeat_is_dropped():
    assert fates(shipments({}, {}, {})) == ["accepted", "duplicate", "duplicate"]


def test_the_same_key_with_other_values_in_one_file_is_refused_altogether():
    assert fates(shipments({}, {"units_shipped": "6"})) == [AMBIGUOUS, AMBIGUOUS]


def test_a_later_file_replaces_an_earlier_one():
    accepted = shipments({}, {"units_shipped": "6", "source_file": "b.csv"})

    assert fates(accepted) == [REPLACED, "accepted"]
    assert accepted.table["units_shipped"].tolist() == [6.0]


def test_a_correction_can_be_taken_back():
    accepted = shipments(
        {}, {"units_shipped": "6", "source_file": "b.csv"}, {"source_file": "c.csv"}
    )

    assert accepted.table["units_shipped"].tolist() == [5.0]
    assert fates(accepted) == ["duplicate", REPLACED, "accepted"]


def test_a_later_file_settles_what_an_earlier_one_left_open():
    accepted = shipments({}, {"units_shipped": "6"}, {"units_shipped": "7", "source_file": "b.csv"})

    assert fates(accepted) == [AMBIGUOUS, AMBIGUOUS, "accepted"]


def test_a_correction_that_cannot_be_read_replaces_nothing():
    accepted = shipments({}, {"units_shipped": "n/a", "source_file": "b.csv"})

    assert accepted.table["units_shipped"].tolist() == [5.0]


def test_the_same_key_in_another_region_or_week_is_another_row():
    later = {"week": WEEK + pd.Timedelta(weeks=1), DELIVERED_WEEK: "2024-03-11"}

    assert fates(shipments({}, {"region": "south"}, later)) == ["accepted"] * 3


# every row is accounted for

TEXTS = st.sampled_from(["S1", "S2", "", "5", "-1", "6", "1e3", "inf", "2024-03-04", "2024-03-11"])
CHANGES = st.lists(
    st.dictionaries(
        st.sampled_from(["store_id", "product_id", DELIVERED_WEEK, "units_shipped"]), TEXTS
    )
    | st.fixed_dictionaries({"source_file": st.sampled_from(["a.csv", "b.csv", "c.csv"])}),
    max_size=15,
)


@given(CHANGES)
@settings(max_examples=60, deadline=None)
def test_what_was_read_was_accepted_refused_or_a_duplicate(changes: list[dict]):
    rows = [SHIPMENT | change for change in changes]
    columns = {name: [row[name] for row in rows] for name in SHIPMENT}
    frame = pd.DataFrame(columns).astype(
        {c: "str" for c in SHIPMENT if c not in ("week", "source_row")}
    )
    frame = frame.astype({"week": "datetime64[us]"}).sort_values("source_file", kind="stable")

    accepted = accept(frame, CONTRACTS["shipments"])

    fates = [*accepted.table.index, *accepted.refused.index, *accepted.duplicates]
    assert sorted(fates) == list(range(len(rows)))
    assert not accepted.table.duplicated(["store_id", "product_id", "week"]).any()
    for file in ("a.csv", "b.csv", "c.csv"):
        counts = accepted.counts_of("north", WEEK, file)
        assert counts["rows_read"] == sum(row["source_file"] == file for row in rows)
        assert counts["rows_read"] == sum(v for k, v in counts.items() if k != "rows_read")
    CONTRACTS["shipments"].schema.validate(as_table(accepted.table, CONTRACTS["shipments"].schema))


# corrections, codes and the day on which a row was known


def test_an_earlier_week_is_a_correction_only_where_that_is_allowed():
    rows = pd.DataFrame([SHIPMENT | {DELIVERED_WEEK: "2024-02-26"}])

    refused = accept(rows, CONTRACTS["shipments"])
    taken = accept(rows, CONTRACTS["shipments"], allow_corrections=True)

    assert refused.refused["code"].tolist() == ["other_week"]
    assert taken.table["ds"].tolist() == [pd.Timestamp("2024-02-26")]
    assert taken.table["week"].tolist() == [WEEK]


def test_a_later_week_is_never_a_correction():
    rows = pd.DataFrame([SHIPMENT | {DELIVERED_WEEK: "2024-03-11"}])

    refused = accept(rows, CONTRACTS["shipments"], allow_corrections=True).refused

    assert refused["code"].tolist() == ["other_week"]


def test_a_correction_and_the_row_of_the_week_itself_do_not_conflict():
    rows = pd.DataFrame([SHIPMENT, SHIPMENT | {DELIVERED_WEEK: "2024-02-26", "source_row": 3}])

    accepted = accept(rows, CONTRACTS["shipments"], allow_corrections=True)

    assert fates(accepted) == ["accepted", "accepted"]


def test_rows_are_known_on_the_sunday_of_their_week_unless_they_say_more():
    told = pd.Timestamp("2024-03-06").as_unit("us")

    assert shipments({}).table["known_on"].tolist() == [pd.Timestamp("2024-03-10")]
    rows = pd.DataFrame([SHIPMENT | {"known_on": told}])
    assert accept(rows, CONTRACTS["shipments"]).table["known_on"].tolist() == [told]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ([{"units_shipped": ""}], "empty"),
        ([{"units_shipped": "1_000"}], "unreadable"),
        ([{"units_shipped": "-1"}], "out_of_bounds"),
        ([{DELIVERED_WEEK: "2024-02-26"}], "other_week"),
        ([{}, {"units_shipped": "6"}], "conflicting"),
        ([{}, {"units_shipped": "6", "source_file": "b.csv"}], "superseded"),
    ],
)
def test_every_refusal_has_a_code_and_the_ledger_counts_it(changes: list[dict], code: str):
    accepted = shipments(*changes)

    assert set(accepted.refused["code"]) == {code}
    n_refused = len(accepted.refused)
    assert accepted.reasons_of("north", WEEK, "a.csv") == {code: n_refused}
    assert accepted.counts_of("north", WEEK, "a.csv")["rows_quarantined"] == n_refused
