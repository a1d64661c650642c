select
    * exclude (week),
    week as known_from,
    lead(week) over (partition by region, product_id order by week) as known_until

from {{ ref('stg_lake__products') }}
