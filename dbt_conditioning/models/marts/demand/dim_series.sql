with

shipped as (

    select
        shipments.region,
        shipments.store_id,
        shipments.product_id,
        min(shipments.week) as first_week

    from {{ ref('stg_lake__shipments') }} as shipments

    inner join {{ ref('int_region_weeks') }} as region_weeks
        on
            shipments.region = region_weeks.region
            and shipments.week = region_weeks.week

    where shipments.units_shipped > 0

    group by shipments.region, shipments.store_id, shipments.product_id

)

select
    shipped.region,
    shipped.first_week as week,
    shipped.store_id,
    shipped.product_id,
    shipped.store_id || '/' || shipped.product_id as unique_id,
    shipped.first_week

from shipped

left join {{ ref('stg_lake__known_series') }} as known_series
    on
        shipped.region = known_series.region
        and shipped.store_id = known_series.store_id
        and shipped.product_id = known_series.product_id

where known_series.first_week is null
