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
            and plans.ds >= region_weeks.week
            and plans.ds <= region_weeks.week + 28
            and plans.known_from >= region_weeks.week - 7 * {{ var('plan_lookback_weeks') }}
            and {{ is_known('plans', 'region_weeks.week') }}

),

planned as (

    select
        plans_known.region,
        plans_known.week,
        plans_known.ds,
        series.store_id,
        series.product_id,
        series.unique_id,
        products.category,
        promotions.price,
        promotions.feature,
        promotions.display,
        promotions.known_on,
        case when promotions.feature > 0 or promotions.display > 0 then 1 else 0 end as n_promoted

    from plans_known

    inner join {{ ref('stg_lake__promotions') }} as promotions
        on
            plans_known.region = promotions.region
            and plans_known.known_from = promotions.week
            and plans_known.ds = promotions.ds

    inner join {{ ref('int_series_versioned') }} as series
        on
            promotions.region = series.region
            and promotions.store_id = series.store_id
            and promotions.product_id = series.product_id
            and plans_known.week >= series.first_week
            and {{ is_known('series', 'plans_known.week') }}

    left join {{ ref('dim_products') }} as products
        on
            plans_known.region = products.region
            and plans_known.week = products.week
            and promotions.product_id = products.product_id

),

{# Competitors are the other products of the category whose price is planned for the store. #}
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

    from planned

    window shelf as (partition by region, week, ds, store_id, category)

),

{# Where a plan ends before the last week ahead, there are rows that say so. #}
series_weeks as (

    select
        series.region,
        series.week,
        series.store_id,
        series.product_id,
        series.unique_id,
        integers.n as h,
        series.week + 7 * integers.n as ds

    from (select distinct region, week, store_id, product_id, unique_id from planned) as series

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
    compared.unique_id is not null as is_plan_known,
    compared.price,
    coalesce(compared.feature, 0) as feature,
    coalesce(compared.display, 0) as display,
    compared.competitor_price_min,
    round(
        compared.price * compared.n_others_priced / nullif(compared.price_of_others, 0), 6
    ) as relative_price,
    cast(compared.n_others_promoted as double) / nullif(compared.n_others, 0)
        as share_competitors_promoted,
    coalesce(compared.known_on, series_weeks.week + 6) as known_on

from series_weeks

left join compared
    on
        series_weeks.region = compared.region
        and series_weeks.week = compared.week
        and series_weeks.unique_id = compared.unique_id
        and series_weeks.ds = compared.ds
