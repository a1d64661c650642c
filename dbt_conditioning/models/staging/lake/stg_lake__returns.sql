select
    region,
    week,
    store_id,
    product_id,
    cast(units_returned as double) as units_returned

from {{ source('lake', 'raw_returns') }}
