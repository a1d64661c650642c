{# Region-weeks of the run of which the model has no row; of regions that deliver, if asked so. #}
{% test covers_every_region_week(model, delivered=none) %}

select region_weeks.*

from {{ ref('int_region_weeks') }} as region_weeks

where
    not exists (
        select 1 from {{ model }} as rows_of_week
        where
            rows_of_week.region = region_weeks.region
            and rows_of_week.week = region_weeks.week
    )
    {% if delivered %}
    and exists (
        select 1 from {{ delivered }} as deliveries
        where deliveries.region = region_weeks.region
    )
    {% endif %}

{% endtest %}
