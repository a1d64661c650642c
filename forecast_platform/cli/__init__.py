"""The command line: ``forecast-platform``. It calls the same assets as the UI does.

Only what a person types and reads: no data logic. Commands import what they need when they are
called, so that ``--help`` answers at once.
"""


def main() -> None:
    """Run the command line (the entry point of the installed script)."""
    from forecast_platform.cli.app import run_app

    run_app()
