{# The only model that reads these vars; the platform has validated them. #}
{%- set week_from = modules.datetime.date.fromisoformat(var('week_from')) -%}
{%- set week_to = modules.datetime.date.fromisoformat(var('week_to')) -%}
{%- set n_weeks = (week_to - week_from).days // 7 -%}

{%- if var('regions') and n_weeks > 0 %}

select
    regions.region,
    cast(date '{{ week_from }}' + 7 * integers.n as date) as week

from {{ texts(var('regions'), 'regions', 'region') }}

cross join {{ integers(0, n_weeks - 1) }}

{%- else %}

select
    cast(null as {{ dbt.type_string() }}) as region,
    cast(null as date) as week

where false

{%- endif %}
