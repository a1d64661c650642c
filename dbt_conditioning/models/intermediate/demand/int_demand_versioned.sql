{# What is known of a week's shipments and returns, and from when to when. #}
{{ config(materialized='table') }}

with

delivered as (

    select
        region,
        store_id,
        product_id,
        ds,
        week,
        units_shipped,
        cast(null as double) as units_returned,
        known_on
    from {{ ref('stg_lake__shipments') }}

    union all

    select
        region,
        store_id,
        product_id,
        ds,
        week,
        cast(null as double) as units_shipped,
        units_returned,
        known_on
    from {{ ref('stg_lake__returns') }}

),

of_weeks as (

    select
        region,
        store_id,
        product_id,
        ds,
        week,
        sum(units_shipped) as units_shipped,
        sum(units_returned) as units_returned,
        max(known_on) as known_on

    from delivered

    where ds <= week

    group by region, store_id, product_id, ds, week

),

late as (

    select distinct
        region,
        store_id,
        product_id,
        ds

    from of_weeks

    where ds < week

),

{# How many deliveries have said something of each part: they carry the last word forward. #}
counted as (

    select
        of_weeks.*,
        count(of_weeks.units_shipped) over known_so_far as n_shipped,
        count(of_weeks.units_returned) over known_so_far as n_returned,
        lead(of_weeks.week) over (
            partition by of_weeks.region, of_weeks.store_id, of_weeks.product_id, of_weeks.ds
            order by of_weeks.week
        ) as known_until

    from of_weeks

    inner join late
        on
            of_weeks.region = late.region
            and of_weeks.store_id = late.store_id
            and of_weeks.product_id = late.product_id
            and of_weeks.ds = late.ds

    window known_so_far as (
        partition by of_weeks.region, of_weeks.store_id, of_weeks.product_id, of_weeks.ds
        order by of_weeks.week
        rows between unbounded preceding and current row
    )

),

unioned as (

    select
        of_weeks.region,
        of_weeks.store_id,
        of_weeks.product_id,
        of_weeks.ds,
        of_weeks.week as known_from,
        cast(null as date) as known_until,
        of_weeks.units_shipped,
        of_weeks.units_returned,
        of_weeks.known_on

    from of_weeks

    left join late
        on
            of_weeks.region = late.region
            and of_weeks.store_id = late.store_id
            and of_weeks.product_id = late.product_id
            and of_weeks.ds = late.ds

    where late.ds is null

    union all

    select
        region,
        store_id,
        product_id,
        ds,
        week as known_from,
        known_until,
        max(units_shipped) over (
            partition by region, store_id, product_id, ds, n_shipped
        ) as units_shipped,
        max(units_returned) over (
            partition by region, store_id, product_id, ds, n_returned
        ) as units_returned,
        known_on

    from counted

)

select
    *,
    greatest(coalesce(units_shipped, 0) - coalesce(units_returned, 0), 0) as y

from unioned
