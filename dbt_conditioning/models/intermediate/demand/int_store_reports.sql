{# The first time that a store said anything about a week: until then its zeros are not known. #}
{{ config(materialized='table') }}

select
    region,
    store_id,
    ds,
    min(known_from) as known_from

from {{ ref('int_demand_versioned') }}

group by region, store_id, ds
