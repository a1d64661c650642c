"""All that is wrong with a sources file, with line and column, and its JSON Schema for editors.

Reads the file and lists the landing area; takes nothing in. What a key means is in `sources`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from forecast_platform.errors import BadSources
from forecast_platform.resources.sources import (
    NAMED_UNITS,
    Codes,
    Expression,
    File,
    Place,
    Source,
    Sources,
    Sql,
    UnitConversion,
    contract_problems,
    did_you_mean,
)
from forecast_platform.schemas.raw import CONTRACTS

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SCHEMA_ID: Final = "sources.schema.json"

_KNOWN_KEYS: Final[Mapping[str, type[BaseModel]]] = {
    "tables": File,
    "units": UnitConversion,
    "codes": Codes,
    "sql": Sql,
}
"""Models below a source's keys: what may have been meant by a misspelt key."""

_MAPPINGS: Final = ("columns", "units", "codes", "tables")
"""Keys of a source whose entries stand for themselves: one can be wrong and the others right."""

_PLAIN_KEYS: Final = ("path", "sql", "required", "region", "format", "columns", "known_from")
"""Keys that say where a source comes from; the others may contradict each other."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong.

    Attributes
    ----------
    line, column : int
        Where in the file, from 1.
    key : str
        Dotted path of the key, such as ``sources.shipments.path``.
    message : str
        What is wrong, and what to do about it.
    """

    line: int
    column: int
    key: str
    message: str

    def as_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self)


def find_problems(file: Path, delivered: list[str] | None = None) -> list[Problem]:
    """Find everything that is wrong with a sources file.

    Parameters
    ----------
    file : pathlib.Path
    delivered : list of str, optional
        Paths of the files in the landing area; given, every source must match one.

    Raises
    ------
    BadSources
        If the file cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSources(f"{file}: cannot be read: {error}") from error
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return [_not_yaml(error)]
    except ValueError as error:  # an impossible date such as 2024-13-01
        return [Problem(1, 1, "", f"is not YAML: {error}")]
    if (
        root is None
        or not isinstance(content, dict)
        or not isinstance(content.get("sources"), dict)
    ):
        return [_at(root, (), "has no sources: begin with `sources:`, then a source a block")]
    found = [_at(root, place, message) for place, message in _of_sources(content, delivered)]
    found += [_at(root, place, message) for place, message in _repeated(root, ())]
    return sorted(set(found))


def _not_yaml(error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Problem(line, column, "", f"is not YAML: {getattr(error, 'problem', None) or error}")


def _of_sources(
    content: dict[str, Any], delivered: list[str] | None
) -> Iterator[tuple[Place, str]]:
    for key in content:
        if key != "sources":
            yield (str(key),), f"is not a key here{did_you_mean(str(key), ['sources'])}"
    for name, given in content["sources"].items():
        place = ("sources", name)
        if name not in CONTRACTS:
            near = did_you_mean(str(name), CONTRACTS)
            yield place, f"{name!r} is not a source: use {', '.join(CONTRACTS)}{near}"
            continue
        source, found, is_path_given = _understood(given)
        yield from (((*place, *inner), message) for inner, message in found)
        if source is None:
            continue
        for inner, message in contract_problems(CONTRACTS[name], source):
            yield (*place, *inner), message
        yield from (((*place, *inner), message) for inner, message in _sql_problems(source))
        if delivered is not None and is_path_given:
            yield from (((*place, *inner), told) for inner, told in _unmatched(source, delivered))


def _understood(given: Any) -> tuple[Source | None, list[tuple[Place, str]], bool]:
    """Read a source without what is wrong in it, so that the rest is looked at too.

    Returns
    -------
    source : Source or None
        None when too little is right to look further.
    problems : list
        Places within the source, and what is wrong there.
    is_path_given : bool
        Whether the source comes from where the file says.
    """
    try:
        return Source.model_validate(given), [], True
    except ValidationError as error:
        found = list(_of_source(given, error))
        wrong = [one["loc"] for one in error.errors()]
    names = {place[:1] for place in wrong}
    if not isinstance(given, dict) or ("format",) in names:
        return None, found, False
    mended = _plain(given) if () in names else _without(given, wrong)
    if mended == given:
        return None, found, False
    is_path_given = "path" in mended or "sql" in mended
    if not is_path_given:
        mended["path"] = "{region}/{week}"
    source, further, is_given = _understood(mended)
    further = [one for one in further if one not in found]
    return source, [*found, *further], is_path_given and is_given


def _plain(given: dict[Any, Any]) -> dict[Any, Any]:
    """Leave out keys that contradict each other, to look at the columns without them."""
    return {key: value for key, value in given.items() if key in _PLAIN_KEYS}


def _without(given: dict[Any, Any], wrong: list[Place]) -> dict[Any, Any]:
    """Leave out what is wrong, and require nothing that is not there."""
    kept: dict[Any, Any] = {}
    for key, value in given.items():
        inside = {place[1] for place in wrong if place[0] == key and len(place) > 1}
        if key in _MAPPINGS and inside and isinstance(value, dict):
            kept[key] = {name: one for name, one in value.items() if name not in inside}
        elif all(place[0] != key for place in wrong):
            kept[key] = value
    return {"required": "optional", **kept}


def _of_source(given: Any, error: ValidationError) -> Iterator[tuple[Place, str]]:
    told: set[Place] = set()
    for one in error.errors():
        inner = one["loc"]
        if inner[:1] == ("columns",) and len(inner) > 2:
            inner = inner[:2]
            message = "must be a delivered column, {sql: ...} or {value: ...}"
        else:
            message = _message(given, one)
        if inner not in told or not inner:
            yield inner, message
        told.add(inner)


def _message(given: Any, error: "ErrorDetails") -> str:
    inner = error["loc"]
    if error["type"] == "extra_forbidden":
        return f"is not a key here{did_you_mean(str(inner[-1]), _keys_at(inner))}"
    if error["type"] == "missing":
        return "is missing"
    message, value = error["msg"].removeprefix("Value error, "), error["input"]
    if isinstance(value, dict) or isinstance(given, str) or error["type"] == "value_error":
        return message
    known = re.findall("'([^']*)'", message) if error["type"] in ("enum", "literal_error") else []
    return f"{message}; got {value!r}{did_you_mean(str(value), known)}"


def _keys_at(inner: Place) -> list[str]:
    model = _KNOWN_KEYS.get(str(inner[0]), Source) if len(inner) > 1 else Source
    return list(model.model_fields)


def _sql_problems(source: Source) -> Iterator[tuple[Place, str]]:
    """Parse the file's SQL, which needs no data."""
    import duckdb

    texts: list[tuple[Place, str]] = [
        (("columns", column, "sql"), f"select ({origin.sql})")
        for column, origin in source.columns.items()
        if isinstance(origin, Expression)
    ]
    if source.query is not None:
        texts.append((("query",), source.query))
    for place, text in texts:
        try:
            statements = duckdb.extract_statements(text)
        except duckdb.Error as error:
            yield place, f"is not SQL: {str(error).splitlines()[0]}"
            continue
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            yield place, "must be one SELECT" if place == ("query",) else "must be one expression"


def _unmatched(source: Source, delivered: list[str]) -> Iterator[tuple[Place, str]]:
    if source.path and not any(source.pattern.fullmatch(path) for path in delivered):
        near = did_you_mean(source.path, delivered)
        yield ("path",), f"{source.path!r} matches no file of the landing area{near}"
    for name, table in source.tables.items():
        if table.path not in delivered:
            near = did_you_mean(table.path, delivered)
            yield ("tables", name, "path"), f"{table.path!r} is not in the landing area{near}"


def _repeated(node: yaml.Node | None, place: Place) -> Iterator[tuple[Place, str]]:
    """Find keys that stand twice: YAML takes the last and says nothing."""
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        name = str(key.value)
        if name in seen:
            yield (*place, name), f"{name!r} stands here twice: only the last would count"
        seen.add(name)
        yield from _repeated(value, (*place, name))


def _at(root: yaml.Node | None, place: Place, message: str) -> Problem:
    """Find where a key stands: its own place, or that of the nearest key above it."""
    node, line, column = root, 1, 1
    for part in place:
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        same = [(key, value) for key, value in entries if str(key.value) == str(part)]
        if not same:
            break
        key, node = same[-1]
        line, column = key.start_mark.line + 1, key.start_mark.column + 1
    return Problem(line, column, ".".join(map(str, place)), message)


def json_schema() -> dict[str, Any]:
    """Describe the sources file for editors."""
    schema = Sources.model_json_schema()
    fields = schema["$defs"]["Source"]["properties"]
    scalars: dict[str, Any] = {"type": ["string", "number"]}
    unit = fields["units"]["additionalProperties"]
    fields["units"]["additionalProperties"] = {"anyOf": [{"enum": list(NAMED_UNITS)}, unit]}
    codes = fields["codes"]["additionalProperties"]
    plain = {"type": "object", "additionalProperties": scalars}
    fields["codes"]["additionalProperties"] = {"anyOf": [codes, plain]}
    schema["$defs"]["Codes"]["properties"]["values"]["additionalProperties"] = scalars
    columns = sorted({column for one in CONTRACTS.values() for column in one.kinds} | {"region"})
    for key in ("columns", "units", "codes"):
        fields[key]["propertyNames"] = {"enum": columns}
    schema["properties"]["sources"]["propertyNames"] = {"enum": list(CONTRACTS)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **schema,
    }
