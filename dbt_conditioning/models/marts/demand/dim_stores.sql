with

region_weeks as (

    select * from {{ ref('int_region_weeks') }}

),

stores as (

    select * from {{ ref('int_stores_versioned') }}

),

shoppers as (

    select * from {{ ref('int_shoppers_versioned') }}

)

select
    region_weeks.region,
    region_weeks.week,
    stores.store_id,
    stores.zip,
    stores.format,
    stores.opened_on,
    stores.closed_on,
    shoppers.share_age_60_plus,
    shoppers.share_college,
    shoppers.share_ethnic_minority,
    shoppers.median_income,
    shoppers.share_large_households,
    shoppers.share_working_women,
    shoppers.share_high_value_homes,
    shoppers.warehouse_distance,
    shoppers.warehouse_volume_ratio,
    shoppers.competitor_distance,
    shoppers.competitor_volume_ratio,
    greatest(stores.known_on, coalesce(shoppers.known_on, stores.known_on)) as known_on

from region_weeks

inner join stores
    on
        region_weeks.region = stores.region
        and {{ is_known('stores', 'region_weeks.week') }}

left join shoppers
    on
        stores.region = shoppers.region
        and stores.store_id = shoppers.store_id
        and {{ is_known('shoppers', 'region_weeks.week') }}
