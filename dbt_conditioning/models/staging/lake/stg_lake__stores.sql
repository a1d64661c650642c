select
    region,
    week,
    store_id,
    zip,
    format,
    cast(opened_on as date) as opened_on,
    cast(closed_on as date) as closed_on,
    coalesce(cast(known_on as date), week + 6) as known_on

from {{ source('lake', 'raw_stores') }}
