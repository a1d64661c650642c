{# Quantile of an aggregate, interpolated between the values next to it; nulls do not count. #}
{% macro percentile(expression, share) -%}
{{ adapter.dispatch('percentile', 'conditioning')(expression, share) }}
{%- endmacro %}

{% macro default__percentile(expression, share) -%}
percentile_cont({{ share }}) within group (order by {{ expression }})
{%- endmacro %}

{% macro duckdb__percentile(expression, share) -%}
quantile_cont({{ expression }}, {{ share }})
{%- endmacro %}

{% macro spark__percentile(expression, share) -%}
percentile({{ expression }}, {{ share }})
{%- endmacro %}
