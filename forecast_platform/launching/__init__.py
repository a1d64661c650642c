"""Run the platform's own Dagster jobs from a program: for the command line and the demo."""
