select
    region,
    store_id,
    zip,
    format,
    opened_on,
    closed_on,
    known_on,
    week as known_from,
    lead(week) over (partition by region, store_id order by week) as known_until

from {{ ref('stg_lake__stores') }}
