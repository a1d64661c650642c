{# The mean of what was observed around the same day of earlier years. Days count as delivered in
   their own week: so all runs see the same, whatever else they have loaded. #}
{{ config(materialized='table') }}

with

days as (

    select distinct
        region,
        day
    from {{ ref('int_weather_days') }}
    where temperature_c is null or precipitation_mm is null or snow_cm is null

),

{# 52 weeks earlier is the same day of the week; three days before and after it count too. #}
days_before as (

    select
        days.region,
        days.day,
        days.day - 364 * years.n + integers.n as day_before

    from days

    cross join {{ integers(1, var('climate_years'), 'years') }}

    cross join {{ integers(-3, 3) }}

)

select
    days_before.region,
    weather.zip,
    days_before.day,
    avg(weather.temperature_c) as temperature_c,
    avg(weather.precipitation_mm) as precipitation_mm,
    avg(weather.snow_cm) as snow_cm

from days_before

inner join {{ ref('stg_lake__weather') }} as weather
    on
        days_before.region = weather.region
        and days_before.day_before = weather.day
        and weather.kind = 'observed'
        and weather.week = cast(date_trunc('week', weather.day) as date)

group by days_before.region, weather.zip, days_before.day
