with

dated as (

    select
        * exclude (week),
        week as delivered_in,
        {# Known when delivered, and true from its as-of date: whichever comes later. #}
        greatest(week, cast(date_trunc('week', as_of_on) as date)) as known_from

    from {{ ref('stg_lake__shoppers') }}

),

newest_of_week as (

    select * from dated

    qualify row_number() over (
        partition by region, store_id, known_from order by as_of_on desc, delivered_in desc
    ) = 1

),

{# An older survey that arrives late does not replace a newer one. #}
in_order as (

    select * from newest_of_week

    qualify as_of_on >= max(as_of_on) over (
        partition by region, store_id order by known_from
        rows between unbounded preceding and current row
    )

)

select
    *,
    lead(known_from) over (partition by region, store_id order by known_from) as known_until

from in_order
