"""Why a delivered row was not accepted, in words that programs compare and people filter by.

The sentence that a person reads stands beside the code, in the table `quarantine`.
"""

import json
from enum import StrEnum


class Code(StrEnum):
    """Reason for which a row is in quarantine; names are stable, new ones may follow."""

    EMPTY = "empty"
    """A value is missing where the contract wants one."""

    UNREADABLE = "unreadable"
    """A value does not look like its kind: a number, a date, an identifier."""

    OUT_OF_BOUNDS = "out_of_bounds"
    """A value was read, and makes no sense: negative units, a store that closes before it opens."""

    OTHER_WEEK = "other_week"
    """The row names another week than the one it was delivered for."""

    CONFLICTING = "conflicting"
    """Another row of the same file has the same key and other values."""

    SUPERSEDED = "superseded"
    """A later file of the same week replaced the row; nothing was wrong with it."""

    MALFORMED = "malformed"
    """The line has more or fewer values than the header has names."""

    UNDECODABLE = "undecodable"
    """The line holds bytes that are not of the file's encoding."""

    NOT_COMPUTED = "not_computed"
    """An expression of the sources file fails on the row."""

    UNKNOWN_CODE = "unknown_code"
    """A value is not among the codes that the sources file translates."""

    DISCARDED = "discarded"
    """A person decided to do without the row."""


NOT_REFUSED = frozenset({Code.SUPERSEDED, Code.DISCARDED})
"""Codes of rows that break no contract: they do not count towards the refused share."""

REFUSAL = "refusal"
"""Column of delivered rows beside those of the contract: JSON of ``code``, ``column``, ``reason``
and ``value`` of a row that was refused before its values were judged; else null."""

REPLAYED = "is_replayed"
"""Column of delivered rows: whether the text is that of a person, not of the file."""


def refusal_text(code: Code, reason: str, *, column: str = "", value: str = "") -> str:
    """Write what stands in the column `REFUSAL` of a refused row.

    >>> refusal_text(Code.MALFORMED, "has 3 values")
    '{"code": "malformed", "column": "", "reason": "has 3 values", "value": ""}'
    """
    return json.dumps({"code": code, "column": column, "reason": reason, "value": value})
