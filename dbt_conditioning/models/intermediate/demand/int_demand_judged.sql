{# Rows that look wrong against what is usual for the series, its store and its product. #}
{{ config(materialized='table') }}

with

{# Stores that say nothing of the week do not count: their zeros are not known. #}
now as (

    select
        usual.*,
        coalesce(versions.y, 0) as y

    from {{ ref('int_demand_usual') }} as usual

    inner join {{ ref('int_store_reports') }} as reports
        on
            usual.region = reports.region
            and usual.store_id = reports.store_id
            and usual.ds = reports.ds
            and usual.week >= reports.known_from

    left join {{ ref('int_demand_versioned') }} as versions
        on
            usual.region = versions.region
            and usual.store_id = versions.store_id
            and usual.product_id = versions.product_id
            and usual.ds = versions.ds
            and {{ is_known('versions', 'usual.week') }}

),

of_products as (

    select
        region,
        week,
        ds,
        product_id,
        sum(y) as y,
        sum(units_usual) as units_usual
    from now
    group by region, week, ds, product_id

),

of_stores as (

    select
        region,
        week,
        ds,
        store_id,
        sum(y) as y,
        sum(units_usual) as units_usual
    from now
    group by region, week, ds, store_id

),

{# How the product went in other stores, and the store with other products; null without any. #}
compared as (

    select
        now.*,
        ln(1 + now.y) as level,
        greatest(now.upper_quartile - now.lower_quartile, {{ var('outlier_least_spread') }})
            as spread,
        (of_products.y - now.y)
        / nullif(of_products.units_usual - now.units_usual, 0) as product_ratio,
        (of_stores.y - now.y) / nullif(of_stores.units_usual - now.units_usual, 0) as store_ratio

    from now

    inner join of_products
        on
            now.region = of_products.region
            and now.week = of_products.week
            and now.ds = of_products.ds
            and now.product_id = of_products.product_id

    inner join of_stores
        on
            now.region = of_stores.region
            and now.week = of_stores.week
            and now.ds = of_stores.ds
            and now.store_id = of_stores.store_id

),

suspected as (

    select
        region,
        week,
        ds,
        store_id,
        product_id,
        (
            n_weeks_reported >= {{ var('flag_least_weeks') }}
            and n_weeks_sold >= {{ var('stock_out_share_sold') }} * n_weeks_reported
            and units_usual >= {{ var('stock_out_least_units') }}
            and y <= {{ var('stock_out_drop_to') }} * (exp(middle) - 1)
            and coalesce(product_ratio, 1) >= {{ var('stock_out_others_sell') }}
            and coalesce(store_ratio, 1) >= {{ var('stock_out_others_sell') }}
        ) as is_gone,
        (
            n_weeks_sold >= {{ var('flag_least_weeks') }}
            and level - ln(greatest(1, coalesce(product_ratio, 1), coalesce(store_ratio, 1)))
            > upper_quartile + {{ var('outlier_fence') }} * spread
        ) as is_high,
        {# A share of less than a twentieth is none. #}
        (
            n_weeks_sold >= {{ var('flag_least_weeks') }}
            and y > 0
            and level - ln(greatest(
                0.05, least(1, coalesce(product_ratio, 1), coalesce(store_ratio, 1))
            ))
            < lower_quartile - {{ var('outlier_fence') }} * spread
        ) as is_low

    from compared

),

plans as (

    select
        suspected.region,
        suspected.week,
        suspected.ds,
        suspected.store_id,
        suspected.product_id,
        max(case when promotions.ds = suspected.ds then promotions.price end) as price,
        {{ percentile('case when promotions.ds < suspected.ds then promotions.price end', 0.5) }}
            as price_before,
        max(case when promotions.ds = suspected.ds then promotions.feature + promotions.display end)
            as promotion,
        max(
            case
                when promotions.ds = suspected.ds - 7
                    then promotions.feature + promotions.display
            end
        ) as promotion_before

    from suspected

    inner join {{ ref('stg_lake__promotions') }} as promotions
        on
            suspected.region = promotions.region
            and suspected.store_id = promotions.store_id
            and suspected.product_id = promotions.product_id
            and suspected.ds - 7 * {{ var('plan_lookback_weeks') }} <= promotions.ds
            and suspected.ds >= promotions.ds
            and suspected.ds - 7 * {{ var('plan_lookback_weeks') }} <= promotions.week

    inner join {{ ref('int_plans_versioned') }} as plans_versioned
        on
            promotions.region = plans_versioned.region
            and promotions.ds = plans_versioned.ds
            and promotions.week = plans_versioned.known_from
            and {{ is_known('plans_versioned', 'suspected.week') }}

    where suspected.is_gone or suspected.is_high or suspected.is_low

    group by
        suspected.region,
        suspected.week,
        suspected.ds,
        suspected.store_id,
        suspected.product_id

),

{# Demand moves to the week of a promotion from the week after it, and away from a higher price. #}
explained as (

    select
        suspected.*,
        (
            coalesce(plans.promotion_before, 0) > 0
            or coalesce(plans.price > {{ var('price_rise') }} * plans.price_before, false)
        ) as is_low_explained,
        (
            coalesce(plans.promotion, 0) > 0
            or coalesce(plans.price < {{ var('price_cut') }} * plans.price_before, false)
        ) as is_high_explained

    from suspected

    left join plans
        on
            suspected.region = plans.region
            and suspected.week = plans.week
            and suspected.ds = plans.ds
            and suspected.store_id = plans.store_id
            and suspected.product_id = plans.product_id

    where suspected.is_gone or suspected.is_high or suspected.is_low

)

select
    region,
    week,
    ds,
    store_id,
    product_id,
    is_gone and not is_low_explained as is_stock_out_likely,
    (is_high and not is_high_explained) or (is_low and not is_low_explained) as is_outlier

from explained
