{% set measures = ['temperature_c', 'precipitation_mm', 'snow_cm'] %}

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
        {%- for measure in measures %}
        coalesce(
            lag({{ measure }}) over of_zip, lag({{ measure }}, 2) over of_zip
        ) as {{ measure }}_before,
        coalesce(
            lead({{ measure }}) over of_zip, lead({{ measure }}, 2) over of_zip
        ) as {{ measure }}_after,
        avg({{ measure }}) over of_region as {{ measure }}_nearby,
        {%- endfor %}
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
        {%- for measure in measures %}
        coalesce(
            around.{{ measure }},
            (
                coalesce(around.{{ measure }}_before, around.{{ measure }}_after)
                + coalesce(around.{{ measure }}_after, around.{{ measure }}_before)
            ) / 2,
            around.{{ measure }}_nearby,
            climate.{{ measure }},
            region_climate.{{ measure }}
        ) as {{ measure }}_filled{{ ',' if not loop.last }}
        {%- endfor %}

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
