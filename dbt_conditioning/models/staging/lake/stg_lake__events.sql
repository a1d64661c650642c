select
    region,
    week,
    event,
    cast(starts_on as date) as starts_on,
    cast(ends_on as date) as ends_on,
    scope,
    {# A region-wide event is for every store, whatever name stands beside it. #}
    case when scope = 'region' then region else scope_id end as scope_id,
    cast(is_holiday as boolean) as is_holiday,
    coalesce(cast(known_on as date), week + 6) as known_on

from {{ source('lake', 'raw_events') }}
