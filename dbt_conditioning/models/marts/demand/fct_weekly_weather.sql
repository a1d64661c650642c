with

{# As known at the close of the week: what is issued later does not count. #}
latest_issue as (

    select
        weather.*,
        cast(date_trunc('week', weather.day) as date) as ds

    from {{ ref('stg_lake__weather') }} as weather

    inner join {{ ref('int_region_weeks') }} as region_weeks
        on
            weather.region = region_weeks.region
            and weather.week = region_weeks.week

    where weather.issued_on < weather.week + 7

    qualify row_number() over (
        partition by weather.region, weather.week, weather.zip, weather.kind, weather.day
        order by weather.issued_on desc
    ) = 1

)

select
    region,
    week,
    zip,
    ds,
    cast((ds - week) // 7 as bigint) as h,
    avg(temperature_c) as temperature_c,
    min(temperature_c) as temperature_min_c,
    max(temperature_c) as temperature_max_c,
    sum(precipitation_mm) as precipitation_mm,
    sum(snow_cm) as snow_cm,
    cast(count(*) as bigint) as n_days

from latest_issue

where
    (kind = 'observed' and ds = week)
    or (kind = 'forecast' and ds > week and ds <= week + 28)

group by region, week, zip, ds
