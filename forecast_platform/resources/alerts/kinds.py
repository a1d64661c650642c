"""What is done automatically about each kind of trouble, and what a person should do.

Where troubles are found is in `conditions` and in `forecast_platform.automation`; these are the
sentences that a woken person reads.
"""

from dataclasses import dataclass
from typing import Final

from forecast_platform.schemas.alerts import Kind

CHECKS: Final[dict[str, Kind]] = {
    "models_are_fresh": Kind.STALE_MODEL,
    "skill_is_kept": Kind.DEGRADATION,
    "nothing_has_drifted": Kind.DRIFT,
}
"""Checks whose failure has a kind of its own, by name; the others are `check_failed`."""

TOLD_BY_CONDITION: Final = frozenset({"champions_serve"})
"""Checks of what `conditions` tells of too, segment by segment."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What goes into every alert of a kind."""

    done: str
    todo: str


ADVICE: Final[dict[Kind, Advice]] = {
    Kind.RUN_FAILED: Advice(
        "What the run had written before stays; rows of other region-weeks are not touched. A run "
        "whose worker died is started once more, one whose step failed is not.",
        "Read the error behind the link. Mend its cause and launch the run again from its page, or "
        "with `forecast-platform run`; doing so twice does no harm.",
    ),
    Kind.CHECK_FAILED: Advice(
        "The table was written. If the check is a blocking one, nothing downstream of it was made "
        "from this week; the last good forecasts stay.",
        "Look at the check's metadata behind the link: it names region-weeks and rows. Mend the "
        "data or the code, then materialize the asset again.",
    ),
    Kind.FAILOVER: Advice(
        "The forecasts were made all the same, by the next model in line; each row says by which, "
        "and why. The champion serves again as soon as it can.",
        "If the reason is a missing or corrupt model, or a registry that is down, mend that. If no "
        "model passed the gate, look at `promotion` and `validation_metrics` of the week.",
    ),
    Kind.STALE_MODEL: Advice(
        "The old model goes on serving: a stale forecast is better than none.",
        "Find out why no newer model was promoted (`forecast-platform status`, `promotion`), and "
        "train the region again.",
    ),
    Kind.DEGRADATION: Advice(
        "The champion goes on serving until a challenger beats it at the gate.",
        "Look at `forecast_accuracy` of the segment: since when, at which horizon, against the "
        "historical average. Train again, or roll back, if a model change began it.",
    ),
    Kind.DRIFT: Advice(
        "Forecasts were made as usual.",
        "Look at which input moved. If the delivery is wrong, have it delivered anew; if the world "
        "has changed, train again.",
    ),
    Kind.MISSED_WEEK: Advice(
        "Nothing: a run that does not start cannot mend itself. The forecasts of the week before "
        "still cover the coming weeks.",
        "Look whether the region's files came (`forecast-platform status`), whether its run waits "
        "or failed, and whether daemon and schedule are on. Then run the week.",
    ),
    Kind.PROMOTION_PENDING: Advice(
        "The champion goes on serving until somebody decides.",
        "Look at the numbers of the challenger and decide: `forecast-platform models approve` or "
        "`reject`.",
    ),
    Kind.EXPERIMENT: Advice(
        "Both arms go on serving until the experiment is stopped.",
        "Look at `forecast-platform experiments status`, and end it with `experiments stop`, with "
        "`--promote` if the winner shall serve.",
    ),
    Kind.ALERTING: Advice(
        "Everything else is still looked at, and this is tried again at the next look.",
        "Mend what the error names; until then, troubles of this kind are not told.",
    ),
    Kind.TEST: Advice("Nothing: this is a test.", "Nothing, if you can read this."),
}


def kind_of_check(name: str) -> Kind:
    """Say which kind of trouble a failed check is.

    >>> kind_of_check("models_are_fresh").value
    'stale_model'
    """
    return CHECKS.get(name, Kind.CHECK_FAILED)
