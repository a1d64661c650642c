select
    region,
    week,
    store_id,
    cast(as_of_on as date) as as_of_on,
    cast(share_age_60_plus as double) as share_age_60_plus,
    cast(share_college as double) as share_college,
    cast(share_ethnic_minority as double) as share_ethnic_minority,
    cast(median_income as double) as median_income,
    cast(share_large_households as double) as share_large_households,
    cast(share_working_women as double) as share_working_women,
    cast(share_high_value_homes as double) as share_high_value_homes,
    cast(warehouse_distance as double) as warehouse_distance,
    cast(warehouse_volume_ratio as double) as warehouse_volume_ratio,
    cast(competitor_distance as double) as competitor_distance,
    cast(competitor_volume_ratio as double) as competitor_volume_ratio,
    coalesce(cast(known_on as date), week + 6) as known_on

from {{ source('lake', 'raw_shoppers') }}
