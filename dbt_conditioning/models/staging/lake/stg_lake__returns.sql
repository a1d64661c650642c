select
    region,
    week,
    {# Tables of before corrections could be late have neither; a row was about its own week. #}
    coalesce(cast(ds as date), week) as ds,
    store_id,
    product_id,
    cast(units_returned as double) as units_returned,
    coalesce(cast(known_on as date), week + 6) as known_on

from {{ source('lake', 'raw_returns') }}
