{# Days of each week and of the four after it, as known at its close; days not delivered too. #}
with

region_weeks as (

    select * from {{ ref('int_region_weeks') }}

),

weather as (

    select * from {{ ref('stg_lake__weather') }}

),

{# What was issued or delivered later does not count; an older issue does if it is the last. #}
known as (

    select
        weather.region,
        region_weeks.week,
        weather.zip,
        weather.day,
        weather.kind,
        weather.temperature_c,
        weather.precipitation_mm,
        weather.snow_cm,
        weather.known_on,
        row_number() over (
            partition by weather.region, region_weeks.week, weather.zip, weather.day
            order by weather.kind desc, weather.issued_on desc, weather.week desc
        ) as n_better

    from region_weeks

    inner join weather
        on
            region_weeks.region = weather.region
            and region_weeks.week >= weather.week
            and region_weeks.week - 28 <= weather.week
            and region_weeks.week <= weather.day
            and region_weeks.week + 35 > weather.day
            and region_weeks.week + 7 > weather.issued_on

),

delivering as (

    select
        region,
        min(week) as first_week
    from weather
    group by region

),

{# Regions that have delivered no weather in years have none; others have that of every store. #}
zips as (

    select
        stores.region,
        stores.week,
        stores.zip

    from {{ ref('dim_stores') }} as stores

    inner join delivering
        on
            stores.region = delivering.region
            and stores.week >= delivering.first_week

    where
        stores.opened_on < stores.week + 35
        and (stores.closed_on is null or stores.closed_on > stores.week)

    union

    select
        region,
        week,
        zip
    from known

)

select
    zips.region,
    zips.week,
    zips.zip,
    integers.n as n_day,
    zips.week + integers.n as day,
    known.kind,
    known.temperature_c,
    known.precipitation_mm,
    known.snow_cm,
    known.known_on

from zips

cross join {{ integers(0, 34) }}

left join known
    on
        zips.region = known.region
        and zips.week = known.week
        and zips.zip = known.zip
        and zips.week + integers.n = known.day
        and known.n_better = 1
