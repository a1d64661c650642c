{# Series and earlier weeks that a week knows something new about; unlisted ones come in too. #}
with

region_weeks as (

    select * from {{ ref('int_region_weeks') }}

),

changed as (

    select
        versions.region,
        versions.known_from as week,
        versions.ds,
        versions.store_id,
        versions.product_id

    from {{ ref('int_demand_versioned') }} as versions

    inner join region_weeks
        on
            versions.region = region_weeks.region
            and versions.known_from = region_weeks.week

    where versions.ds < versions.known_from

),

{# A store that reports a week at last: what it does not name is a zero now. #}
reported_at_last as (

    select
        reports.region,
        reports.known_from as week,
        reports.ds,
        reports.store_id,
        series.product_id

    from {{ ref('int_store_reports') }} as reports

    inner join region_weeks
        on
            reports.region = region_weeks.region
            and reports.known_from = region_weeks.week

    inner join {{ ref('int_series_versioned') }} as series
        on
            reports.region = series.region
            and reports.store_id = series.store_id
            and reports.ds >= series.first_week
            and {{ is_known('series', 'reports.known_from') }}

    where reports.ds < reports.known_from

),

{# A series that turns out to be older than was known: its weeks since then are zeros now. #}
older_than_known as (

    select
        series.region,
        series.known_from as week,
        reports.ds,
        series.store_id,
        series.product_id

    from {{ ref('int_series_versioned') }} as series

    inner join region_weeks
        on
            series.region = region_weeks.region
            and series.known_from = region_weeks.week

    inner join {{ ref('int_store_reports') }} as reports
        on
            series.region = reports.region
            and series.store_id = reports.store_id
            and series.first_week <= reports.ds
            and reports.ds < coalesce(series.first_week_before, series.known_from)
            and series.known_from >= reports.known_from

    where series.first_week < series.known_from

)

select * from changed

union

select * from reported_at_last

union

select * from older_than_known
