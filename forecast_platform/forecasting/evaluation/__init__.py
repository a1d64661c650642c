"""Metrics, backtests and the promotion rule: how models are judged."""
