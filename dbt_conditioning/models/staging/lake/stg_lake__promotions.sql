select
    region,
    week,
    store_id,
    product_id,
    cast(ds as date) as ds,
    cast(price as double) as price,
    coalesce(cast(feature as double), 0) as feature,
    coalesce(cast(display as double), 0) as display

from {{ source('lake', 'raw_promotions') }}
