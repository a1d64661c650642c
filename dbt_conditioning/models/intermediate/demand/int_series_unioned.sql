with

unioned as (

    select
        region,
        store_id,
        product_id,
        first_week
    from {{ ref('stg_lake__known_series') }}

    union all

    select
        region,
        store_id,
        product_id,
        first_week
    from {{ ref('dim_series') }}

)

select
    region,
    store_id,
    product_id,
    store_id || '/' || product_id as unique_id,
    min(first_week) as first_week

from unioned

group by region, store_id, product_id
