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

ranked as (

    select
        *,
        row_number() over (
            partition by region, week, store_id, ds order by n_days desc, event asc
        ) as n_before

    from events

),

totals as (

    select
        region,
        week,
        store_id,
        ds,
        count(distinct day) as n_event_days,
        max(case when is_holiday then 1 else 0 end) as n_holidays,
        max(known_on) as known_on

    from {{ ref('int_events_scoped_to_stores') }}

    group by region, week, store_id, ds

),

{# All of a store's weeks or none: the neighbours of a week can always be looked up. #}
store_weeks as (

    select
        stores.region,
        stores.week,
        stores.store_id,
        integers.n as h,
        stores.week + 7 * integers.n as ds

    from {{ ref('dim_stores') }} as stores

    cross join {{ integers(-1, 5) }}

    where
        stores.opened_on < stores.week + 42
        and (stores.closed_on is null or stores.closed_on > stores.week - 7)

)

select
    store_weeks.region,
    store_weeks.week,
    store_weeks.store_id,
    store_weeks.ds,
    cast(store_weeks.h as bigint) as h,
    coalesce(ranked.event, 'none') as event,
    cast(coalesce(totals.n_event_days, 0) as bigint) as n_event_days,
    coalesce(totals.n_holidays, 0) > 0 as is_holiday,
    coalesce(totals.known_on, store_weeks.week + 6) as known_on

from store_weeks

left join ranked
    on
        store_weeks.region = ranked.region
        and store_weeks.week = ranked.week
        and store_weeks.store_id = ranked.store_id
        and store_weeks.ds = ranked.ds
        and ranked.n_before = 1

left join totals
    on
        store_weeks.region = totals.region
        and store_weeks.week = totals.week
        and store_weeks.store_id = totals.store_id
        and store_weeks.ds = totals.ds
