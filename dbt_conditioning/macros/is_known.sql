{# True of a version that holds at the close of `week`: of [known_from, known_until). #}
{% macro is_known(version, week) -%}
({{ version }}.known_from <= {{ week }}
and ({{ version }}.known_until is null or {{ version }}.known_until > {{ week }}))
{%- endmacro %}
