{# A series' first week with units shipped, as known: a late delivery can put it further back. #}
{{ config(materialized='table') }}

with

unioned as (

    select
        region,
        store_id,
        product_id,
        date '1900-01-01' as known_from,
        first_week
    from {{ ref('stg_lake__known_series') }}

    union all

    select
        region,
        store_id,
        product_id,
        week as known_from,
        first_week
    from {{ ref('dim_series') }}

)

select
    region,
    store_id,
    product_id,
    store_id || '/' || product_id as unique_id,
    first_week,
    lag(first_week) over (
        partition by region, store_id, product_id order by known_from
    ) as first_week_before,
    known_from,
    lead(known_from) over (
        partition by region, store_id, product_id order by known_from
    ) as known_until

from unioned
