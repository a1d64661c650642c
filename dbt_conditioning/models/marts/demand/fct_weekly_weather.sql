with

days as (

    select
        *,
        week + n_day - n_day % 7 as ds
    from {{ ref('int_weather_days') }}

),

region_climate as (

    select
        region,
        day,
        avg(temperature_c) as temperature_c,
        avg(precipitation_mm) as precipitation_mm,
        avg(snow_cm) as snow_cm

    from {{ ref('int_weather_climate') }}

    group by region, day

),

{# The days before and after, of the same week, and what the region's other zips had. #}
around as (

    select
        *,
        coalesce(
            lag(temperature_c) over of_zip, lag(temperature_c, 2) over of_zip
        ) as temperature_c_before,
        coalesce(
            lead(temperature_c) over of_zip, lead(temperature_c, 2) over of_zip
        ) as temperature_c_after,
        avg(temperature_c) over of_region as temperature_c_nearby,
        coalesce(
            lag(precipitation_mm) over of_zip, lag(precipitation_mm, 2) over of_zip
        ) as precipitation_mm_before,
        coalesce(
            lead(precipitation_mm) over of_zip, lead(precipitation_mm, 2) over of_zip
        ) as precipitation_mm_after,
        avg(precipitation_mm) over of_region as precipitation_mm_nearby,
        coalesce(
            lag(snow_cm) over of_zip, lag(snow_cm, 2) over of_zip
        ) as snow_cm_before,
        coalesce(
            lead(snow_cm) over of_zip, lead(snow_cm, 2) over of_zip
        ) as snow_cm_after,
        avg(snow_cm) over of_region as snow_cm_nearby,
        max(kind) over of_region as kind_nearby,
        max(known_on) over of_region as known_on_nearby

    from days

    window
        of_zip as (partition by region, week, zip, ds order by day),
        of_region as (partition by region, week, day)

),

filled as (

    select
        around.*,
        coalesce(
            around.temperature_c,
            (
                coalesce(around.temperature_c_before, around.temperature_c_after)
                + coalesce(around.temperature_c_after, around.temperature_c_before)
            ) / 2,
            around.temperature_c_nearby,
            climate.temperature_c,
            region_climate.temperature_c
        ) as temperature_c_filled,
        coalesce(
            around.precipitation_mm,
            (
                coalesce(around.precipitation_mm_before, around.precipitation_mm_after)
                + coalesce(around.precipitation_mm_after, around.precipitation_mm_before)
            ) / 2,
            around.precipitation_mm_nearby,
            climate.precipitation_mm,
            region_climate.precipitation_mm
        ) as precipitation_mm_filled,
        coalesce(
            around.snow_cm,
            (
                coalesce(around.snow_cm_before, around.snow_cm_after)
                + coalesce(around.snow_cm_after, around.snow_cm_before)
            ) / 2,
            around.snow_cm_nearby,
            climate.snow_cm,
            region_climate.snow_cm
        ) as snow_cm_filled

    from around

    left join {{ ref('int_weather_climate') }} as climate
        on
            around.region = climate.region
            and around.zip = climate.zip
            and around.day = climate.day

    left join region_climate
        on
            around.region = region_climate.region
            and around.day = region_climate.day

),

{# A day is given if nothing of it had to be filled. #}
given as (

    select
        *,
        case
            when
                kind is not null
                and (temperature_c is not null or temperature_c_filled is null)
                and (precipitation_mm is not null or precipitation_mm_filled is null)
                and (snow_cm is not null or snow_cm_filled is null)
                then 1
            else 0
        end as n_given,
        case
            when coalesce(temperature_c_filled, precipitation_mm_filled, snow_cm_filled) is not null
                then 1
            else 0
        end as n_known

    from filled

)

{# A day that nothing at all is known of counts as the mean of the others of its week. #}
select
    region,
    week,
    zip,
    ds,
    cast(min(n_day) / 7 as bigint) as h,
    coalesce(max(kind), max(kind_nearby), 'climatology') as origin,
    round(avg(temperature_c_filled), 6) as temperature_c,
    min(temperature_c_filled) as temperature_min_c,
    max(temperature_c_filled) as temperature_max_c,
    round(7 * avg(precipitation_mm_filled), 6) as precipitation_mm,
    round(7 * avg(snow_cm_filled), 6) as snow_cm,
    cast(sum(n_given) as bigint) as n_days,
    cast(case when sum(n_known) > 0 then 7 - sum(n_given) else 0 end as bigint) as n_days_filled,
    coalesce(max(known_on), max(known_on_nearby), week + 6) as known_on

from given

group by region, week, zip, ds
