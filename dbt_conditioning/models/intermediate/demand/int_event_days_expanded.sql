with

days_around as (

    select
        region_weeks.region,
        region_weeks.week,
        region_weeks.week + integers.n as day

    from {{ ref('int_region_weeks') }} as region_weeks

    cross join {{ integers(-7, 41) }}

)

select distinct
    days_around.region,
    days_around.week,
    cast(date_trunc('week', days_around.day) as date) as ds,
    days_around.day,
    events.scope,
    events.scope_id,
    events.event,
    events.is_holiday,
    events.known_on

from days_around

inner join {{ ref('int_events_versioned') }} as events
    on
        days_around.region = events.region
        and days_around.day >= events.starts_on
        and days_around.day <= events.ends_on
        and {{ is_known('events', 'days_around.week') }}
