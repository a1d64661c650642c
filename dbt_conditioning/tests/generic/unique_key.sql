{# Rows that share their key with another row, or miss a part of it. #}
{% test unique_key(model, columns) %}

select
    {{ columns | join(', ') }},
    count(*) as n_rows

from {{ model }}

group by {{ columns | join(', ') }}

having count(*) > 1 or {{ columns | join(' is null or ') }} is null

{% endtest %}
