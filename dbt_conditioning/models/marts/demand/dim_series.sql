with

shipped as (

    select
        shipments.region,
        shipments.week,
        shipments.store_id,
        shipments.product_id,
        min(shipments.ds) as first_week,
        max(shipments.known_on) as known_on

    from {{ ref('stg_lake__shipments') }} as shipments

    inner join {{ ref('int_region_weeks') }} as region_weeks
        on
            shipments.region = region_weeks.region
            and shipments.week = region_weeks.week

    where shipments.units_shipped > 0 and shipments.ds <= shipments.week

    group by shipments.region, shipments.week, shipments.store_id, shipments.product_id

),

compared as (

    select
        shipped.*,
        known_series.first_week as first_week_before_run,
        min(shipped.first_week) over (
            partition by shipped.region, shipped.store_id, shipped.product_id
            order by shipped.week
            rows between unbounded preceding and 1 preceding
        ) as first_week_before

    from shipped

    left join {{ ref('stg_lake__known_series') }} as known_series
        on
            shipped.region = known_series.region
            and shipped.store_id = known_series.store_id
            and shipped.product_id = known_series.product_id

)

select
    region,
    week,
    store_id,
    product_id,
    store_id || '/' || product_id as unique_id,
    first_week,
    known_on

from compared

where
    (first_week_before_run is null or first_week < first_week_before_run)
    and (first_week_before is null or first_week < first_week_before)
