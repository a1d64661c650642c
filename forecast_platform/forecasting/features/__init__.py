"""Features of a series as known at a cutoff; no model and no metric belongs here."""
