select
    * exclude (week),
    week as known_from,
    lead(week) over (partition by region, store_id order by week) as known_until

from {{ ref('stg_lake__stores') }}
