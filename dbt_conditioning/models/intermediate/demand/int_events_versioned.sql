{# An event that was moved while it was still ahead does not count on its old days any more. #}
with

events as (

    select * from {{ ref('stg_lake__events') }}

),

versioned as (

    select
        *,
        lead(week) over (
            partition by region, event, starts_on, scope, scope_id order by week
        ) as replaced_in

    from events

),

moved as (

    select
        old.region,
        old.event,
        old.scope,
        old.scope_id,
        old.starts_on,
        old.week,
        min(new.week) as moved_in

    from versioned as old

    inner join events as new
        on
            old.region = new.region
            and old.event = new.event
            and old.scope = new.scope
            and old.scope_id = new.scope_id
            and old.week < new.week
            and old.starts_on <> new.starts_on
            and old.starts_on > new.week + 6
            and new.starts_on >= old.starts_on - {{ var('event_moves_days') }}
            and new.starts_on <= old.starts_on + {{ var('event_moves_days') }}

    {# Who names both days, then or now, tells of an event that comes more than once. #}
    left join events as named_both
        on
            old.region = named_both.region
            and old.event = named_both.event
            and old.scope = named_both.scope
            and old.scope_id = named_both.scope_id
            and (
                (new.week = named_both.week and old.starts_on = named_both.starts_on)
                or (old.week = named_both.week and new.starts_on = named_both.starts_on)
            )

    where named_both.event is null

    group by old.region, old.event, old.scope, old.scope_id, old.starts_on, old.week

)

select
    versioned.region,
    versioned.event,
    versioned.starts_on,
    versioned.ends_on,
    versioned.scope,
    versioned.scope_id,
    versioned.is_holiday,
    versioned.known_on,
    versioned.week as known_from,
    least(
        coalesce(versioned.replaced_in, moved.moved_in),
        coalesce(moved.moved_in, versioned.replaced_in)
    ) as known_until

from versioned

left join moved
    on
        versioned.region = moved.region
        and versioned.event = moved.event
        and versioned.scope = moved.scope
        and versioned.scope_id = moved.scope_id
        and versioned.starts_on = moved.starts_on
        and versioned.week = moved.week
