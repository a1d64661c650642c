"""The metrics as a person would compute them by hand, row by row."""

import math


def mape(y, y_hat):
    errors = [abs(a - f) / a for a, f in zip(y, y_hat, strict=True) if a > 0]
    return sum(errors) / len(errors) if errors else math.nan


def wape(y, y_hat):
    if sum(y) == 0:
        return math.nan
    return sum(abs(a - f) for a, f in zip(y, y_hat, strict=True)) / sum(y)


def bias(y, y_hat):
    return (sum(y_hat) - sum(y)) / sum(y) if sum(y) else math.nan


def rmse_all(y, y_hat):
    errors = [(a - f) ** 2 for a, f in zip(y, y_hat, strict=True)]
    return math.sqrt(sum(errors) / len(errors)) if errors else math.nan


def rmse_0(y, y_hat):
    pairs = [(a, f) for a, f in zip(y, y_hat, strict=True) if a == 0]
    return rmse_all([a for a, _ in pairs], [f for _, f in pairs])
