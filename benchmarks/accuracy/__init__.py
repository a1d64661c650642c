"""How accurate the models are, side by side with peers on the same folds: ``make bench-accuracy``."""
