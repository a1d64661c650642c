"""The sources file: where a customer's files lie and how their columns map to the contracts.

Configuration only; files are listed and read in `forecast_platform.resources.landing`, and what
a source must hold is in `forecast_platform.schemas.raw`.
"""

import codecs
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from forecast_platform.errors import BadSources
from forecast_platform.schemas.parsing import Kind
from forecast_platform.schemas.raw import CONTRACTS, Contract

DEFAULT_SOURCES = Path(__file__).with_name("default_sources.yaml")

Place = tuple[str | int, ...]
"""Keys from a source down to a value."""

_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_PLACEHOLDERS = {
    "{region}": r"(?P<region>[a-z0-9][a-z0-9_-]{0,31})",
    "{week}": f"(?P<week>{_DAY})",
    "{ds}": f"(?P<ds>{_DAY})",
    "{delivered}": f"(?P<delivered>{_DAY})",
    "*": r"[^/]*",
}
_TEXT_FORMATS = ("csv", "excel", "jsonl")
_DATE_PARTS = ({"%Y", "%m", "%d"}, {"%y", "%m", "%d"}, {"%G", "%V"}, {"%Y", "%j"})
_DATE_DIRECTIVES = set("YmdyGVujbBHMSf%")
CORRECTABLE = ("shipments", "returns")
"""Sources whose rows may be about an earlier week than that of their delivery."""


class FileFormat(StrEnum):
    """How a file is read."""

    CSV = "csv"
    PARQUET = "parquet"
    JSONL = "jsonl"
    EXCEL = "excel"


class Required(StrEnum):
    """How often a source is delivered."""

    WEEKLY = "weekly"
    SNAPSHOT = "snapshot"
    OPTIONAL = "optional"


class Compression(StrEnum):
    """How a file is packed."""

    AUTO = "auto"
    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    ZIP = "zip"


class CompleteWhen(StrEnum):
    """How it is known that a delivery is written to its end."""

    SETTLED = "settled"
    SUCCESS_FILE = "success_file"
    MANIFEST = "manifest"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expression(_Strict):
    """A column computed by one DuckDB expression over the delivered columns, all text."""

    sql: str = Field(description="For example: round(exp(cast(logmove as double)))")


class Constant(_Strict):
    """A column with the same value in every row."""

    value: str = Field(description="The value, as text")


class UnitConversion(_Strict):
    """A number computed from the delivered one: times ``factor``, plus ``offset``."""

    factor: float = Field(
        default=1.0, allow_inf_nan=False, description="The delivered number times this"
    )
    offset: float = Field(
        default=0.0, allow_inf_nan=False, description="Added after the factor was applied"
    )
    factor_from: str | None = Field(
        default=None, description="Delivered column with the factor of each row: units per case"
    )

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.factor == 0:
            raise ValueError("factor 0 would make every number 0")
        if self.factor_from is not None and "factor" in self.model_fields_set:
            raise ValueError("factor and factor_from contradict each other: set one")
        return self


NAMED_UNITS: Mapping[str, UnitConversion] = {
    "fahrenheit_to_celsius": UnitConversion(factor=5 / 9, offset=-160 / 9),
    "kelvin_to_celsius": UnitConversion(offset=-273.15),
    "inches_to_mm": UnitConversion(factor=25.4),
    "inches_to_cm": UnitConversion(factor=2.54),
    "cm_to_mm": UnitConversion(factor=10),
    "mm_to_cm": UnitConversion(factor=0.1),
    "percent_to_fraction": UnitConversion(factor=0.01),
    "dozens_to_units": UnitConversion(factor=12),
    "cents_to_currency": UnitConversion(factor=0.01),
}
"""Conversions that a sources file may name."""


def _look_up_unit(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    if given not in NAMED_UNITS:
        raise ValueError(
            f"{given!r} is no conversion: use {', '.join(NAMED_UNITS)}, or "
            "{factor: ..., offset: ...}" + did_you_mean(given, NAMED_UNITS)
        )
    return NAMED_UNITS[given]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that is nearest, if one is near.

    >>> did_you_mean("colums", ["columns", "codes"])
    '. Did you mean columns?'
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f". Did you mean {near[0]}?" if near else ""


class Codes(_Strict):
    """The contract's value for each delivered code; a row with another code is refused."""

    values: Mapping[str, str] = Field(min_length=1, description="Delivered code: contract value")
    default: str | None = Field(
        default=None, description="Value of codes that are not listed, instead of refusing the row"
    )

    @model_validator(mode="before")
    @classmethod
    def _may_be_the_values_alone(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and not isinstance(given.get("values"), Mapping):
            return {"values": given}
        return given

    @field_validator("values", mode="before")
    @classmethod
    def _are_text(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        for one in (*values, *values.values()):
            if isinstance(one, bool) or one is None:
                raise ValueError(
                    f"put {one} in quotes: YAML reads yes, no, on, off and null without quotes as "
                    "true, false and nothing"
                )
        return {str(code): str(value) for code, value in values.items()}


class Sql(_Strict):
    """A table or query of a database."""

    connection: str = Field(
        json_schema_extra={"pattern": "^[A-Z][A-Z0-9_]{0,63}$"},
        description="NAME of the environment variable that holds the SQLAlchemy URL; never the URL",
    )
    table: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_$ ]*(\.[A-Za-z_][A-Za-z0-9_$ ]*)?$",
        description="Table or view, `orders` or `schema.orders`",
    )
    query: str | None = Field(
        default=None,
        description="One SELECT of the database's own SQL; :week, :week_end and :region are bound",
    )
    week_column: str | None = Field(
        default=None,
        description="Column with a date of the row's week: only rows of the run's weeks are read",
    )
    region_column: str | None = Field(
        default=None, description="Column with the region: only rows of the run's regions are read"
    )

    @field_validator("connection")
    @classmethod
    def _is_a_name(cls, connection: str) -> str:
        if not re.fullmatch("[A-Z][A-Z0-9_]{0,63}", connection):
            raise ValueError(  # without the value: it may hold a password
                "must be the NAME of an environment variable, such as ERP_URL, that holds the URL; "
                "never the URL itself, whose password would lie in this file"
            )
        return connection

    @model_validator(mode="after")
    def _is_table_or_query(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("set one of table and query")
        if self.query is not None and re.search(r"['\"]\s*\{|\{(region|week)\}", self.query):
            raise ValueError("values are bound, not pasted: write :region and :week in the query")
        if ":region" in (self.query or "") and not self.has_time:
            raise ValueError(
                "the query asks for :region but for no week, and rows without a week are read for "
                "all regions at once: leave :region out and name the column in region_column"
            )
        return self

    @property
    def has_region(self) -> bool:
        """Whether the database is asked for one region's rows."""
        return self.region_column is not None or ":region" in (self.query or "")

    @property
    def has_time(self) -> bool:
        """Whether the database is asked for one week's rows."""
        return self.week_column is not None or ":week" in (self.query or "")


class File(_Strict):
    """A file or a set of files."""

    path: str = Field(
        description="Below the landing folder; {region}, {week}, {ds}, {delivered} and * "
        "are filled in"
    )
    format: FileFormat = Field(default=FileFormat.CSV, description="How the files are read")
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="CSV only")
    encoding: str = Field(default="utf-8", description="CSV only")
    quote: str = Field(
        default='"', min_length=1, max_length=1, description="Character around texts; CSV only"
    )
    compression: Compression = Field(
        default=Compression.AUTO, description="auto looks at the content; or none, gzip, zstd, zip"
    )
    skip_rows: int = Field(
        default=0, ge=0, le=1000, description="Lines or rows above the header; CSV and Excel"
    )
    sheet: str | tuple[str, ...] | None = Field(
        default=None,
        description='Excel only: a sheet, several, or "*" for all; the first by default',
    )

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        if path.startswith("/") or ".." in path.split("/") or "://" in path:
            raise ValueError(f"path {path!r} must stay below the landing folder")
        unknown = set(re.findall(r"\{[^}]*\}", path)) - set(_PLACEHOLDERS)
        if unknown:
            raise ValueError(
                f"path {path!r} has {', '.join(sorted(unknown))}: use {{region}}, {{week}}, "
                "{ds}, {delivered}"
            )
        return path

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        try:
            return codecs.lookup(encoding).name
        except LookupError:
            raise ValueError(f"{encoding!r} is no encoding: use utf-8, latin-1 or cp1252") from None

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Match a file's path below the landing folder."""
        made = ""
        for part in re.split(r"(\{region\}|\{week\}|\{ds\}|\{delivered\}|\*)", self.path):
            name = part.strip("{}")
            if part in _PLACEHOLDERS and f"(?P<{name}>" in made:
                made += f"(?P={name})"
            else:
                made += _PLACEHOLDERS.get(part, re.escape(part))
        return re.compile(made)

    @property
    def has_week(self) -> bool:
        """Whether the path names the week that a file is of."""
        return "{week}" in self.path

    @property
    def has_delivered(self) -> bool:
        """Whether the path names the day on which a file was delivered."""
        return "{delivered}" in self.path


class Source(File):
    """One source of a customer, mapped to its contract."""

    path: str = Field(
        default="",
        description="Below the landing folder; {region}, {week}, {ds}, {delivered} and * "
        "are filled in",
    )
    sql: Sql | None = Field(default=None, description="A database instead of files")
    required: Required = Field(description="weekly, snapshot or optional")
    region: str | None = Field(default=None, description="The region, where no path names it")
    columns: Mapping[str, Annotated[str | Expression | Constant, Field()]] = Field(
        default_factory=dict,
        description="Contract column: delivered column, {sql: ...} or {value: ...}; "
        "a column that is not listed has its contract's name",
    )
    query: str | None = Field(
        default=None,
        description="One SELECT over `delivered` and `tables`, all text, before columns are mapped",
    )
    tables: Mapping[str, File] = Field(
        default_factory=dict, description="Further files that `query` reads, by name"
    )
    known_weeks_before: int = Field(
        default=0, ge=0, le=52, description="Plans in files of many weeks: known so long before"
    )
    known_from: date | None = Field(
        default=None, description="Monday from which a file without {week} and dates is known"
    )

    decimal: Literal[".", ","] = Field(
        default=".", description="Decimal mark of delivered numbers; CSV, Excel and JSON lines"
    )
    thousands: Literal[".", ",", " ", "'"] | None = Field(
        default=None, description="Mark between groups of three digits; none by default"
    )
    date_format: str | Mapping[str, str] | None = Field(
        default=None,
        description="How delivered dates are written, such as %d.%m.%Y; for all date columns, or "
        "by contract column; YYYY-MM-DD by default",
    )
    units: Mapping[str, Annotated[UnitConversion, BeforeValidator(_look_up_unit)]] = Field(
        default_factory=dict,
        description="By contract column: a named conversion such as fahrenheit_to_celsius, or "
        "{factor: 12, offset: 0}, or {factor_from: units_per_case}",
    )
    codes: Mapping[str, Codes] = Field(
        default_factory=dict,
        description="By contract column: {delivered code: contract value}; another code is refused",
    )
    allow_corrections: bool = Field(
        default=False,
        description="Shipments and returns of earlier weeks in a later file correct those weeks",
    )
    known_within_days: int | None = Field(
        default=None,
        ge=0,
        le=6,
        description="Shipments and returns whose path has {delivered}: days after the close of a "
        "week within which a delivery counts as of the close; 1 by default",
    )
    complete_when: CompleteWhen = Field(
        default=CompleteWhen.SETTLED,
        description="settled: sizes and times stand still; success_file: _SUCCESS lies beside; "
        "manifest: a manifest names every file",
    )
    settle_seconds: int | None = Field(
        default=None,
        ge=0,
        le=86400,
        description="How long a file must not have changed [s]; default of the platform's settings",
    )
    max_refused_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Above this share of refused rows the region-week fails [fraction]; default of "
        "the platform's settings",
    )

    @field_validator("date_format")
    @classmethod
    def _are_dates(cls, given: str | Mapping[str, str] | None) -> str | Mapping[str, str] | None:
        for one in [given] if isinstance(given, str) else (given or {}).values():
            _check_date_format(one)
        return given

    @model_validator(mode="after")
    def _comes_from_somewhere(self) -> Self:
        if bool(self.path) == (self.sql is not None):
            raise ValueError("set one of path (files) and sql (a database)")
        return self

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}")
        if self.format is FileFormat.CSV and self.path and self.delimiter == self.quote:
            raise ValueError(f"delimiter and quote are both {self.quote!r}")
        if "{week}" in self.path and "{ds}" in self.path:
            raise ValueError("{ds} needs {delivered}: {week} is the week of the delivery")
        wrong = sorted(_unused(self))
        if wrong:
            kind = "a database" if self.sql is not None else f"{self.format} files"
            raise ValueError(f"{', '.join(wrong)} is not for {kind}: leave it out")
        return self

    @model_validator(mode="after")
    def _names_its_region(self) -> Self:
        by_column = self.sql is not None and self.sql.has_region
        by_path = "{region}" in self.path or self.region is not None
        if not by_path and not by_column and "region" not in self.columns:
            raise ValueError("no region: put {region} into path, or set region, or map the column")
        return self

    @property
    def names_one_region_week(self) -> bool:
        """Whether the path of a file tells its region and its week."""
        has_region = "{region}" in self.path or self.region is not None
        return has_region and (self.has_week or self.has_delivered)

    def days_of_grace(self, name: str) -> int:
        """Days after the close of a week within which a delivery counts as of the close.

        What stores sold can be counted only when the week is over, and is delivered on the next
        day. Forecasts, plans and master data of the next day were not known at the close.
        """
        if name not in CORRECTABLE:
            return 0
        return 1 if self.known_within_days is None else self.known_within_days

    def date_format_of(self, column: str) -> str | None:
        """Say how dates of a contract column are delivered; None for YYYY-MM-DD."""
        if isinstance(self.date_format, Mapping):
            return self.date_format.get(column)
        return self.date_format


def _unused(source: Source) -> set[str]:
    """Name keys that were set and cannot have an effect."""
    given = source.model_fields_set
    form = "sql" if source.sql is not None else str(source.format)
    allowed = {
        "delimiter": ("csv",),
        "encoding": ("csv",),
        "quote": ("csv",),
        "skip_rows": ("csv", "excel"),
        "sheet": ("excel",),
        "decimal": _TEXT_FORMATS,
        "thousands": _TEXT_FORMATS,
        "compression": (*_TEXT_FORMATS, "parquet"),
        "format": (*_TEXT_FORMATS, "parquet"),
        "complete_when": (*_TEXT_FORMATS, "parquet"),
        "settle_seconds": (*_TEXT_FORMATS, "parquet"),
    }
    return {key for key in given if form not in allowed.get(key, (form,))}


def _check_date_format(given: str) -> None:
    found = set(re.findall(r"%(.)", given))
    if found - _DATE_DIRECTIVES:
        wrong = ", ".join(f"%{one}" for one in sorted(found - _DATE_DIRECTIVES))
        raise ValueError(f"date_format {given!r} has {wrong}: use %Y %m %d %b %y %G %V %u %j")
    named = {"%m" if one in "bB" else f"%{one}" for one in found}
    if not any(parts <= named for parts in _DATE_PARTS):
        raise ValueError(
            f"date_format {given!r} does not name a day: use %Y, %m and %d, or %G and %V for weeks"
        )


class Sources(_Strict):
    """All sources of one customer."""

    sources: Mapping[str, Source]

    @field_validator("sources")
    @classmethod
    def _fit_their_contracts(cls, sources: Mapping[str, Source]) -> Mapping[str, Source]:
        for name, source in sources.items():
            if name not in CONTRACTS:
                raise ValueError(f"{name!r} is not a source: use {', '.join(CONTRACTS)}")
            for place, message in contract_problems(CONTRACTS[name], source):
                raise ValueError(f"{name}.{'.'.join(map(str, place))}: {message}")
        return sources


def contract_problems(contract: Contract, source: Source) -> Iterator[tuple[Place, str]]:
    """Say what of a source does not fit its contract, and under which key."""
    for column in source.columns:
        if column not in (*contract.kinds, "region"):
            yield (
                ("columns", column),
                f"{column} is not in its contract; it has {', '.join(contract.kinds)}"
                + did_you_mean(column, contract.kinds),
            )
    for key, kinds in _CONVERTED.items():
        given = getattr(source, key)
        for column in given if isinstance(given, Mapping) else ():
            if contract.kinds.get(column) not in kinds:
                could = [one for one, kind in contract.kinds.items() if kind in kinds]
                yield (
                    (key, column),
                    f"{key} is not for {column!r}; it is for "
                    f"{', '.join(could) or 'no column of this source'}"
                    + did_you_mean(column, could),
                )
    yield from _misplaced(contract, source)
    has_time = source.has_week or source.has_delivered or (source.sql and source.sql.has_time)
    if not has_time and contract.known_by is None and source.known_from is None:
        yield (
            ("sql" if source.sql else "path",),
            "its rows have no week. Put {week} into path or set known_from"
            + (", or sql.week_column, or use :week in sql.query" if source.sql else ""),
        )


def _misplaced(contract: Contract, source: Source) -> Iterator[tuple[Place, str]]:
    """Say which keys have no meaning for this source."""
    if source.allow_corrections and contract.source not in CORRECTABLE:
        yield ("allow_corrections",), f"allow_corrections is for {' and '.join(CORRECTABLE)}"
    if source.known_within_days is not None and not (
        source.has_delivered and contract.source in CORRECTABLE
    ):
        yield (
            ("known_within_days",),
            f"known_within_days is for {' and '.join(CORRECTABLE)} with {{delivered}} in the path",
        )
    if "{ds}" in source.path and contract.source not in (*CORRECTABLE, "promotions"):
        yield ("path",), f"{{ds}} is for {', '.join(CORRECTABLE)} and promotions"


_CONVERTED: Mapping[str, tuple[Kind, ...]] = {
    "units": (Kind.NUMBER,),
    "codes": tuple(Kind),
    "date_format": (Kind.DATE, Kind.MONDAY),
}
"""Kinds of columns that a key can convert."""


def load_sources(file: Path | None = None) -> Sources:
    """Read a sources file; the default one when none is named.

    Raises
    ------
    BadSources
        If it cannot be read, or does not describe sources; the message names the key.
    """
    path = file or DEFAULT_SOURCES
    try:
        return Sources.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadSources(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise BadSources(f"{path}: is not YAML: {error}") from error
    except ValidationError as error:
        listed = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
        )
        raise BadSources(
            f"{path}: {listed}. `forecast-platform sources check {path}` says where"
        ) from error
