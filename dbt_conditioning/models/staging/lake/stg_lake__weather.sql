select
    region,
    week,
    zip,
    cast(day as date) as day,
    kind,
    cast(issued_on as date) as issued_on,
    cast(temperature_c as double) as temperature_c,
    cast(precipitation_mm as double) as precipitation_mm,
    cast(snow_cm as double) as snow_cm,
    coalesce(cast(known_on as date), cast(issued_on as date)) as known_on

from {{ source('lake', 'raw_weather') }}
