{# What each series usually sold in the trailing weeks before `ds`, as known at `week`. #}
{{ config(materialized='table') }}

with

weeks as (

    select distinct
        region,
        week,
        ds
    from {{ ref('int_demand_panel') }}

),

weeks_behind as (

    select
        weeks.region,
        weeks.week,
        weeks.ds,
        weeks.ds - 7 * integers.n as ds_behind

    from weeks

    cross join {{ integers(1, var('trailing_weeks')) }}

),

reported as (

    select
        weeks_behind.region,
        weeks_behind.week,
        weeks_behind.ds,
        reports.store_id,
        count(*) as n_weeks_reported

    from weeks_behind

    inner join {{ ref('int_store_reports') }} as reports
        on
            weeks_behind.region = reports.region
            and weeks_behind.ds_behind = reports.ds
            and weeks_behind.week >= reports.known_from

    group by weeks_behind.region, weeks_behind.week, weeks_behind.ds, reports.store_id

),

sold as (

    select
        weeks_behind.region,
        weeks_behind.week,
        weeks_behind.ds,
        versions.store_id,
        versions.product_id,
        count(*) as n_weeks_sold,
        sum(versions.y) as units_sold,
        {{ percentile('ln(1 + versions.y)', 0.25) }} as lower_quartile,
        {{ percentile('ln(1 + versions.y)', 0.5) }} as middle,
        {{ percentile('ln(1 + versions.y)', 0.75) }} as upper_quartile

    from weeks_behind

    inner join {{ ref('int_demand_versioned') }} as versions
        on
            weeks_behind.region = versions.region
            and weeks_behind.ds_behind = versions.ds
            and {{ is_known('versions', 'weeks_behind.week') }}

    where versions.y > 0

    group by
        weeks_behind.region,
        weeks_behind.week,
        weeks_behind.ds,
        versions.store_id,
        versions.product_id

)

select
    sold.region,
    sold.week,
    sold.ds,
    sold.store_id,
    sold.product_id,
    sold.n_weeks_sold,
    reported.n_weeks_reported,
    sold.units_sold / reported.n_weeks_reported as units_usual,
    sold.lower_quartile,
    sold.middle,
    sold.upper_quartile

from sold

inner join reported
    on
        sold.region = reported.region
        and sold.week = reported.week
        and sold.ds = reported.ds
        and sold.store_id = reported.store_id
