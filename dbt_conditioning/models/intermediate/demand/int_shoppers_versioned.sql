with

dated as (

    select
        *,
        {# Known when delivered, and true from its as-of date: whichever comes later. #}
        greatest(week, cast(date_trunc('week', as_of_on) as date)) as known_from

    from {{ ref('stg_lake__shoppers') }}

),

ranked as (

    select
        *,
        row_number() over (
            partition by region, store_id, known_from order by as_of_on desc, week desc
        ) as n_newer

    from dated

),

{# An older survey that arrives late does not replace a newer one. #}
ordered as (

    select
        *,
        max(as_of_on) over (
            partition by region, store_id order by known_from
            rows between unbounded preceding and current row
        ) as newest_as_of_on

    from ranked

    where n_newer = 1

)

select
    region,
    store_id,
    as_of_on,
    share_age_60_plus,
    share_college,
    share_ethnic_minority,
    median_income,
    share_large_households,
    share_working_women,
    share_high_value_homes,
    warehouse_distance,
    warehouse_volume_ratio,
    competitor_distance,
    competitor_volume_ratio,
    known_on,
    known_from,
    lead(known_from) over (partition by region, store_id order by known_from) as known_until

from ordered

where as_of_on >= newest_as_of_on
