with

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
            and plans.ds between region_weeks.week and region_weeks.week + 28
            and plans.known_from between
            region_weeks.week - 7 * {{ var('plan_lookback_weeks') }} and region_weeks.week
            and (plans.known_until is null or region_weeks.week < plans.known_until)

)

select
    plans_known.region,
    plans_known.week,
    series.store_id,
    series.product_id,
    series.unique_id,
    plans_known.ds,
    cast((plans_known.ds - plans_known.week) // 7 as bigint) as h,
    promotions.price,
    promotions.feature,
    promotions.display

from plans_known

inner join {{ ref('stg_lake__promotions') }} as promotions
    on
        plans_known.region = promotions.region
        and plans_known.known_from = promotions.week
        and plans_known.ds = promotions.ds

inner join {{ ref('int_series_unioned') }} as series
    on
        promotions.region = series.region
        and promotions.store_id = series.store_id
        and promotions.product_id = series.product_id
        and plans_known.week >= series.first_week
