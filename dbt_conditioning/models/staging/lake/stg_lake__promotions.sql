select
    region,
    week,
    store_id,
    product_id,
    cast(ds as date) as ds,
    cast(price as double) as price,
    coalesce(cast(feature as double), 0) as feature,
    coalesce(cast(display as double), 0) as display,
    coalesce(cast(known_on as date), week + 6) as known_on

from {{ source('lake', 'raw_promotions') }}
