select
    region,
    week,
    store_id,
    product_id,
    cast(units_shipped as double) as units_shipped

from {{ source('lake', 'raw_shipments') }}
