"""A seeded retailer that delivers plain files as a customer would."""
