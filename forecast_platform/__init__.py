"""Dagster asset-based platform that forecasts weekly retail demand by region."""

__version__ = "0.1.0"
