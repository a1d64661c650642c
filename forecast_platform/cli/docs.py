"""``forecast-platform docs``: what the conditioned tables are made of, as a page."""

from pathlib import Path
from typing import Annotated

import typer

from forecast_platform.cli.console import err, out, plain_errors


def docs(
    to: Annotated[Path, typer.Option(help="Folder that the page is written to.")] = Path(
        "build/dbt_docs"
    ),
) -> None:
    """Write dbt's documentation: sources, models, columns, tests, and the graph between them.

    One page that needs no server and no data; what the rules mean is in docs/conditioning.md.

    [bold]Example[/]

    forecast-platform docs --to build/dbt_docs
    """
    from forecast_platform.resources.dbt_project import build_docs

    with plain_errors():
        page = build_docs(to)
    err.print("Open it in a browser:")
    out.print(str(page), highlight=False, soft_wrap=True)
