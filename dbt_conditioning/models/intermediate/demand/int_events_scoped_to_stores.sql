with

event_days as (

    select * from {{ ref('int_event_days_expanded') }}

),

store_scopes as (

    select
        region,
        week,
        store_id,
        'region' as scope,
        region as scope_id
    from {{ ref('dim_stores') }}

    union all

    select
        region,
        week,
        store_id,
        'zip' as scope,
        zip as scope_id
    from {{ ref('dim_stores') }}

    union all

    select
        region,
        week,
        store_id,
        'store' as scope,
        store_id as scope_id
    from {{ ref('dim_stores') }}

)

select distinct
    event_days.region,
    event_days.week,
    store_scopes.store_id,
    event_days.ds,
    event_days.day,
    event_days.event,
    event_days.is_holiday,
    event_days.known_on

from event_days

inner join store_scopes
    on
        event_days.region = store_scopes.region
        and event_days.week = store_scopes.week
        and event_days.scope = store_scopes.scope
        and event_days.scope_id = store_scopes.scope_id
