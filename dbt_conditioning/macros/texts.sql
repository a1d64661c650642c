{# Texts, one per row, as a table `name` with the one column `column`. #}
{% macro texts(values, name, column) -%}
(values {% for text in values -%}
('{{ text | replace("'", "''") }}'){{ ', ' if not loop.last }}
{%- endfor %})
as {{ name }} ({{ column }})
{%- endmacro %}
