{# True in a week `ds` of which at least one day lies in [opens_on, closes_on).
   `closes_on` is the first day closed; null means open to this day. #}
{% macro is_alive(opens_on, closes_on, ds) -%}
({{ opens_on }} < {{ ds }} + 7 and ({{ closes_on }} is null or {{ closes_on }} > {{ ds }}))
{%- endmacro %}
