{# Region-weeks of the run of which the model has no row. #}
{% test covers_every_region_week(model) %}

select region_weeks.*

from {{ ref('int_region_weeks') }} as region_weeks

where not exists (
    select 1 from {{ model }} as rows_of_week
    where
        rows_of_week.region = region_weeks.region
        and rows_of_week.week = region_weeks.week
)

{% endtest %}
