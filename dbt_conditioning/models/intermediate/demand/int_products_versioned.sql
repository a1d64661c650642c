select
    region,
    product_id,
    category,
    brand,
    package_size,
    launched_on,
    delisted_on,
    known_on,
    week as known_from,
    lead(week) over (partition by region, product_id order by week) as known_until

from {{ ref('stg_lake__products') }}
