with

versioned as (

    select
        * exclude (week),
        week as known_from,
        lead(week) over (
            partition by region, event, starts_on, scope, scope_id order by week
        ) as known_until

    from {{ ref('stg_lake__events') }}

),

weeks_around as (

    select
        region,
        week,
        cast(unnest(range(-1, 6)) as integer) as h

    from {{ ref('int_region_weeks') }}

),

days_around as (

    select
        region,
        week,
        h,
        week + 7 * h as ds,
        week + 7 * h + cast(unnest(range(0, 7)) as integer) as day

    from weeks_around

)

select distinct
    days_around.region,
    days_around.week,
    days_around.ds,
    days_around.day,
    versioned.scope,
    versioned.scope_id,
    versioned.event,
    versioned.is_holiday

from days_around

inner join versioned
    on
        days_around.region = versioned.region
        and days_around.day between versioned.starts_on and versioned.ends_on
        and days_around.week >= versioned.known_from
        and (versioned.known_until is null or days_around.week < versioned.known_until)
