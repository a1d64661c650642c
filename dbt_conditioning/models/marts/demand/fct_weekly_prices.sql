with

{# The last delivery that mentions a planned week holds; a delivery too old holds no more. #}
plans_known as (

    select
        region_weeks.region,
        region_weeks.week,
        plans.ds,
        plans.known_from

    from {{ ref('int_region_weeks') }} as region_weeks

    inner join {{ ref('int_plans_versioned') }} as plans
        on
            region_weeks.region = plans.region
            and region_weeks.week <= plans.ds
            and region_weeks.week + 28 >= plans.ds
            and region_weeks.week - 7 * {{ var('plan_lookback_weeks') }} <= plans.known_from
            and {{ is_known('plans', 'region_weeks.week') }}

),

{# Competitors are the other products of the category that the delivery plans for the store. #}
shelves as (

    select
        promotions.region,
        promotions.week,
        promotions.ds,
        promotions.store_id,
        promotions.product_id,
        promotions.price,
        promotions.feature,
        promotions.display,
        promotions.known_on,
        products.category,
        case when promotions.feature > 0 or promotions.display > 0 then 1 else 0 end as n_promoted

    from {{ ref('stg_lake__promotions') }} as promotions

    left join {{ ref('int_products_versioned') }} as products
        on
            promotions.region = products.region
            and promotions.product_id = products.product_id
            and {{ is_known('products', 'promotions.week') }}

),

{# In brackets: Spark reads `shelf - 1` as a name. #}
compared as (

    select
        *,
        (count(price) over shelf) - case when price is null then 0 else 1 end as n_others_priced,
        (sum(price) over shelf) - coalesce(price, 0) as price_of_others,
        coalesce(
            min(price) over (
                partition by region, week, ds, store_id, category
                order by price nulls last, product_id
                rows between unbounded preceding and 1 preceding
            ),
            lead(price) over (
                partition by region, week, ds, store_id, category
                order by price nulls last, product_id
            )
        ) as competitor_price_min,
        (count(*) over shelf) - 1 as n_others,
        (sum(n_promoted) over shelf) - n_promoted as n_others_promoted

    from shelves

    window shelf as (partition by region, week, ds, store_id, category)

),

planned as (

    select
        plans_known.region,
        plans_known.week,
        plans_known.ds,
        series.store_id,
        series.product_id,
        series.unique_id,
        compared.price,
        compared.feature,
        compared.display,
        compared.known_on,
        compared.competitor_price_min,
        round(
            compared.price * compared.n_others_priced / nullif(compared.price_of_others, 0), 6
        ) as relative_price,
        cast(compared.n_others_promoted as double) / nullif(compared.n_others, 0)
            as share_competitors_promoted

    from plans_known

    inner join compared
        on
            plans_known.region = compared.region
            and plans_known.known_from = compared.week
            and plans_known.ds = compared.ds

    inner join {{ ref('int_series_versioned') }} as series
        on
            compared.region = series.region
            and compared.store_id = series.store_id
            and compared.product_id = series.product_id
            and plans_known.week >= series.first_week
            and {{ is_known('series', 'plans_known.week') }}

),

{# Where a plan ends before the last week ahead, there are rows that say so. #}
series as (

    select distinct
        region,
        week,
        store_id,
        product_id,
        unique_id
    from planned

),

series_weeks as (

    select
        series.region,
        series.week,
        series.store_id,
        series.product_id,
        series.unique_id,
        integers.n as h,
        series.week + 7 * integers.n as ds

    from series

    cross join {{ integers(0, 4) }}

)

select
    series_weeks.region,
    series_weeks.week,
    series_weeks.store_id,
    series_weeks.product_id,
    series_weeks.unique_id,
    series_weeks.ds,
    cast(series_weeks.h as bigint) as h,
    planned.unique_id is not null as is_plan_known,
    planned.price,
    coalesce(planned.feature, 0) as feature,
    coalesce(planned.display, 0) as display,
    planned.competitor_price_min,
    planned.relative_price,
    planned.share_competitors_promoted,
    coalesce(planned.known_on, series_weeks.week + 6) as known_on

from series_weeks

left join planned
    on
        series_weeks.region = planned.region
        and series_weeks.week = planned.week
        and series_weeks.unique_id = planned.unique_id
        and series_weeks.ds = planned.ds
