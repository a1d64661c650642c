select
    region,
    week,
    product_id,
    category,
    brand,
    package_size,
    cast(launched_on as date) as launched_on,
    cast(delisted_on as date) as delisted_on,
    coalesce(cast(known_on as date), week + 6) as known_on

from {{ source('lake', 'raw_products') }}
