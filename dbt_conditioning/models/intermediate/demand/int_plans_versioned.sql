{# The last delivery that mentions a planned week holds for that whole week. #}
with

deliveries as (

    select distinct
        region,
        ds,
        week
    from {{ ref('stg_lake__promotions') }}

)

select
    region,
    ds,
    week as known_from,
    lead(week) over (partition by region, ds order by week) as known_until

from deliveries
