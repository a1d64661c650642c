{# Whole numbers of [first, last], one per row, as a table with the column `n`. #}
{% macro integers(first, last, name='integers') -%}
(values {% for n in range(first, last + 1) %}({{ n }}){{ ', ' if not loop.last }}{% endfor %})
as {{ name }}(n)
{%- endmacro %}
