"""How deep a forecast is made again; a module of its own, since the command line needs no more."""

from enum import StrEnum


class Depth(StrEnum):
    """Where to begin."""

    MODEL = "model"
    """With the recorded model and features."""

    FEATURES = "features"
    """Train the model again, from the recorded features and demand."""

    MARTS = "marts"
    """Make the features again too, of all weeks that the model has learnt from."""
