"""What dbt gives to Jinja, as far as the models use it: sqlfluff renders them without dbt.

Named in `.sqlfluff`; used by nothing else. What sqlfluff brings along (`ref`, `source`, `config`)
is not repeated here.
"""

import datetime as _datetime
from types import SimpleNamespace

from jinja2 import pass_context

modules = SimpleNamespace(datetime=_datetime)
dbt = SimpleNamespace(type_string=lambda: "string")


def var(name, default=None):
    """Return a value of the type that the var has."""
    values = {"regions": ["north"], "week_from": "2024-01-01", "week_to": "2024-01-15"}
    return values.get(name, 4)


class adapter:  # noqa: N801 - dbt's name
    """As dbt's: finds the macro of an engine, here always the default one."""

    @staticmethod
    @pass_context
    def dispatch(context, name, package=None):
        """Return the macro ``default__<name>`` of the file that asks."""
        return context.resolve(f"default__{name}")
