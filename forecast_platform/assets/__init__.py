"""The Dagster assets, one module per stage; they meet through the asset graph only."""
