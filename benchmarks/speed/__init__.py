"""How fast features, training and scoring are, each beside a peer in the same run."""
