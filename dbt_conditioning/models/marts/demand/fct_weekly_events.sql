with

events as (

    select
        region,
        week,
        store_id,
        ds,
        event,
        count(distinct day) as n_days

    from {{ ref('int_events_scoped_to_stores') }}

    group by region, week, store_id, ds, event

),

primary_event as (

    select * from events

    qualify row_number() over (
        partition by region, week, store_id, ds order by n_days desc, event asc
    ) = 1

),

totals as (

    select
        region,
        week,
        store_id,
        ds,
        count(distinct day) as n_event_days,
        bool_or(is_holiday) as is_holiday

    from {{ ref('int_events_scoped_to_stores') }}

    group by region, week, store_id, ds

),

{# All of a store's weeks or none: the neighbours of a week can always be looked up. #}
store_weeks as (

    select
        region,
        week,
        store_id,
        cast(unnest(range(-1, 6)) as integer) as h

    from {{ ref('dim_stores') }}

    where opened_on < week + 42 and (closed_on is null or closed_on > week - 7)

)

select
    store_weeks.region,
    store_weeks.week,
    store_weeks.store_id,
    store_weeks.week + 7 * store_weeks.h as ds,
    cast(store_weeks.h as bigint) as h,
    coalesce(primary_event.event, 'none') as event,
    cast(coalesce(totals.n_event_days, 0) as bigint) as n_event_days,
    coalesce(totals.is_holiday, false) as is_holiday

from store_weeks

left join primary_event
    on
        store_weeks.region = primary_event.region
        and store_weeks.week = primary_event.week
        and store_weeks.store_id = primary_event.store_id
        and store_weeks.week + 7 * store_weeks.h = primary_event.ds

left join totals
    on
        primary_event.region = totals.region
        and primary_event.week = totals.week
        and primary_event.store_id = totals.store_id
        and primary_event.ds = totals.ds
