"""How accurate the models are beside peers on the same folds: ``make bench-accuracy``."""
