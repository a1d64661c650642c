"""The sources file: where a customer's files lie and how their columns map to the contracts.

Configuration only; files are listed and read in `forecast_platform.resources.landing`, and what
a source must hold is in `forecast_platform.schemas.raw`.
"""

import codecs
import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from forecast_platform.errors import BadSources
from forecast_platform.schemas.raw import CONTRACTS, Contract

DEFAULT_SOURCES = Path(__file__).with_name("default_sources.yaml")

_PLACEHOLDERS = {
    "{region}": r"(?P<region>[a-z0-9][a-z0-9_-]{0,31})",
    "{week}": r"(?P<week>[0-9]{4}-[0-9]{2}-[0-9]{2})",
    "*": r"[^/]*",
}


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


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expression(_Strict):
    """A column computed by one DuckDB expression over the delivered columns, all text."""

    sql: str = Field(description="For example: round(exp(cast(logmove as double)))")


class Constant(_Strict):
    """A column with the same value in every row."""

    value: str = Field(description="The value, as text")


class File(_Strict):
    """A file or a set of files."""

    path: str = Field(description="Below the landing folder; {region}, {week} and * are filled in")
    format: FileFormat = Field(default=FileFormat.CSV, description="How the files are read")
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="CSV only")
    encoding: str = Field(default="utf-8", description="CSV only")
    sheet: str | None = Field(default=None, description="Excel only; the first sheet by default")

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        if path.startswith("/") or ".." in path.split("/") or "://" in path:
            raise ValueError(f"path {path!r} must stay below the landing folder")
        unknown = set(re.findall(r"\{[^}]*\}", path)) - {"{region}", "{week}"}
        if unknown:
            raise ValueError(
                f"path {path!r} has {', '.join(sorted(unknown))}: use {{region}}, {{week}}"
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
        for part in re.split(r"(\{region\}|\{week\}|\*)", self.path):
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


class Source(File):
    """One source of a customer, mapped to its contract."""

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

    @model_validator(mode="after")
    def _names_its_region(self) -> Self:
        if "{region}" not in self.path and self.region is None and "region" not in self.columns:
            raise ValueError("no region: put {region} into path, or set region, or map the column")
        return self


class Sources(_Strict):
    """All sources of one customer."""

    sources: Mapping[str, Source]

    @field_validator("sources")
    @classmethod
    def _fit_their_contracts(cls, sources: Mapping[str, Source]) -> Mapping[str, Source]:
        for name, source in sources.items():
            if name not in CONTRACTS:
                raise ValueError(f"{name!r} is not a source: use {', '.join(CONTRACTS)}")
            _check_columns(CONTRACTS[name], source)
        return sources


def _check_columns(contract: Contract, source: Source) -> None:
    unknown = set(source.columns) - set(contract.kinds) - {"region"}
    if unknown:
        raise ValueError(
            f"{contract.source}: {', '.join(sorted(unknown))} is not in its contract; "
            f"it has {', '.join(contract.kinds)}"
        )
    if not source.has_week and contract.known_by is None and source.known_from is None:
        raise ValueError(
            f"{contract.source}: its rows have no week. Put {{week}} into path or set known_from"
        )


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
        raise BadSources(f"{path}: {listed}") from error
