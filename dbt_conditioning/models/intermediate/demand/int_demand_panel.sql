{# Series of open stores and listed products: of each week itself, and of weeks it corrects. #}
{{ config(materialized='table') }}

with

series as (

    select * from {{ ref('int_series_versioned') }}

),

wanted as (

    select
        region_weeks.region,
        region_weeks.week,
        region_weeks.week as ds,
        series.store_id,
        series.product_id,
        series.unique_id

    from {{ ref('int_region_weeks') }} as region_weeks

    inner join series
        on
            region_weeks.region = series.region
            and region_weeks.week >= series.first_week
            and {{ is_known('series', 'region_weeks.week') }}

    union all

    select
        corrected.region,
        corrected.week,
        corrected.ds,
        corrected.store_id,
        corrected.product_id,
        series.unique_id

    from {{ ref('int_demand_corrected') }} as corrected

    inner join series
        on
            corrected.region = series.region
            and corrected.store_id = series.store_id
            and corrected.product_id = series.product_id
            and corrected.ds >= series.first_week
            and {{ is_known('series', 'corrected.week') }}

)

select wanted.*

from wanted

inner join {{ ref('dim_stores') }} as stores
    on
        wanted.region = stores.region
        and wanted.week = stores.week
        and wanted.store_id = stores.store_id

inner join {{ ref('dim_products') }} as products
    on
        wanted.region = products.region
        and wanted.week = products.week
        and wanted.product_id = products.product_id

where
    {{ is_alive('stores.opened_on', 'stores.closed_on', 'wanted.ds') }}
    and {{ is_alive('products.launched_on', 'products.delisted_on', 'wanted.ds') }}
