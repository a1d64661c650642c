select
    region,
    store_id,
    product_id,
    min(cast(first_week as date)) as first_week

from {{ source('lake', 'known_series') }}

group by region, store_id, product_id
