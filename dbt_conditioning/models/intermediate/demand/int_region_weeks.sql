{# The only model that reads vars; the platform has validated them. #}
with

regions as (

    select unnest([
        {%- for region in var('regions') %}
        '{{ region | replace("'", "''") }}'{{ ',' if not loop.last }}
        {%- endfor %}
    ]::varchar[]) as region

),

weeks as (

    select cast(unnest(generate_series(
        date '{{ var("week_from") }}',
        date '{{ var("week_to") }}' - interval 1 day,
        interval 7 day
    )) as date) as week

)

select
    regions.region,
    weeks.week

from regions

cross join weeks
