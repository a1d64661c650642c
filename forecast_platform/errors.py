"""Everything that this package raises on purpose, and nothing else.

Each message says what is wrong, where (table, file, row, column), and what to do about it::

    ForecastPlatformError
    ├── LakeError
    │   ├── TableMissing            nobody has written the table yet
    │   ├── WriteRefused            rows or keys do not fit what the write promises
    │   └── WriteConflict           other writers kept winning until the retries ran out
    ├── LandingError
    │   ├── LandingMissing          a required source was not delivered
    │   ├── BadFile                 a delivered file cannot be read
    │   │   └── ColumnsMissing      it lacks columns of its contract
    │   └── BadSources              the sources file does not describe sources
    ├── AlertError
    │   ├── BadAlerts               the alerts file does not say who is told of what
    │   └── NotDelivered            a message was not taken by its receiver
    ├── UnknownRegion               the region was never added
    ├── UnknownWeek                 not a Monday, before the first week, or still open
    ├── UnknownForecast             no forecast has this id
    ├── ExperimentRefused           an experiment cannot be started or stopped like this
    ├── HistoryTooShort             not enough weeks to train on
    ├── BadMember                   a configured member cannot be imported or used
    └── RegistryError
        ├── RegistryUnavailable     the model registry does not answer
        ├── NoChampion              no model was promoted yet
        ├── CorruptModel            a model's files are not the ones that were registered
        └── DecisionRefused         there is nothing that could be approved, rejected, rolled back
"""

# ruff: noqa: N818 - the names say what happened; all of them are errors


class ForecastPlatformError(Exception):
    """Base of everything that this package raises on purpose."""


class LakeError(ForecastPlatformError):
    """Base of what goes wrong with the tables of the lake."""


class TableMissing(LakeError):
    """Nobody has written the table, or the version asked for does not exist."""


class WriteRefused(LakeError):
    """Rows, keys or columns do not fit what the write promises; nothing was written."""


class WriteConflict(LakeError):
    """Other writers kept winning until the retries ran out; nothing was written."""


class LandingError(ForecastPlatformError):
    """Base of what goes wrong with delivered files."""


class LandingMissing(LandingError):
    """A source that must be delivered has no file for a region-week."""


class BadFile(LandingError):
    """A delivered file cannot be read at all."""


class ColumnsMissing(BadFile):
    """A delivered file lacks columns of its contract."""


class BadSources(LandingError):
    """The sources file does not describe sources."""


class AlertError(ForecastPlatformError):
    """Base of what goes wrong with telling people."""


class BadAlerts(AlertError):
    """The alerts file does not say who is told of what."""


class NotDelivered(AlertError):
    """A message was not taken by its receiver; it is tried again."""


class UnknownRegion(ForecastPlatformError):
    """The region was never added."""


class UnknownWeek(ForecastPlatformError):
    """The week is not a Monday, lies before the first week, or is not over yet."""


class UnknownForecast(ForecastPlatformError):
    """No forecast has this id; the message names the nearest ones."""


class ExperimentRefused(ForecastPlatformError):
    """An experiment cannot be started or stopped like this; nothing was changed."""


class HistoryTooShort(ForecastPlatformError):
    """There are not enough weeks to train on."""


class BadMember(ForecastPlatformError):
    """A configured member of the ensembles cannot be imported, or does not do what it must."""


class RegistryError(ForecastPlatformError):
    """Base of what goes wrong with registered models."""


class RegistryUnavailable(RegistryError):
    """The model registry does not answer."""


class NoChampion(RegistryError):
    """No model of this name was promoted yet."""


class CorruptModel(RegistryError):
    """A model's files are not the ones that were registered."""


class DecisionRefused(RegistryError):
    """A person's decision cannot be carried out; nothing was changed."""
