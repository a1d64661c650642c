with

shipments as (

    select
        region,
        week,
        store_id,
        product_id,
        sum(units_shipped) as units_shipped

    from {{ ref('stg_lake__shipments') }}

    group by region, week, store_id, product_id

),

returns as (

    select
        region,
        week,
        store_id,
        product_id,
        sum(units_returned) as units_returned

    from {{ ref('stg_lake__returns') }}

    group by region, week, store_id, product_id

),

panel as (

    select
        stores.region,
        stores.week,
        series.unique_id,
        series.store_id,
        series.product_id

    from {{ ref('int_series_unioned') }} as series

    inner join {{ ref('dim_stores') }} as stores
        on
            series.region = stores.region
            and series.store_id = stores.store_id
            and series.first_week <= stores.week

    inner join {{ ref('dim_products') }} as products
        on
            stores.region = products.region
            and stores.week = products.week
            and series.product_id = products.product_id

    where
        {{ is_alive('stores.opened_on', 'stores.closed_on', 'stores.week') }}
        and {{ is_alive('products.launched_on', 'products.delisted_on', 'stores.week') }}

)

select
    panel.region,
    panel.week,
    panel.week as ds,
    panel.unique_id,
    panel.store_id,
    panel.product_id,
    coalesce(shipments.units_shipped, 0) as units_shipped,
    coalesce(returns.units_returned, 0) as units_returned,
    greatest(
        coalesce(shipments.units_shipped, 0) - coalesce(returns.units_returned, 0), 0
    ) as y,
    shipments.units_shipped is null as is_filled

from panel

left join shipments
    on
        panel.region = shipments.region
        and panel.week = shipments.week
        and panel.store_id = shipments.store_id
        and panel.product_id = shipments.product_id

left join returns
    on
        panel.region = returns.region
        and panel.week = returns.week
        and panel.store_id = returns.store_id
        and panel.product_id = returns.product_id
