"""Checks of the raw tables: stored rows satisfy their contracts."""

from forecast_platform.checks.schema import build_schema_check
from forecast_platform.schemas.raw import CONTRACTS

raw_schema_checks = [
    build_schema_check(contract.table, contract.schema) for contract in CONTRACTS.values()
]
