"""What a table is: pandera contracts of delivered, conditioned, feature and forecast tables."""
