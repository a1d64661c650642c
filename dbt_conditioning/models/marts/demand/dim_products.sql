with

region_weeks as (

    select * from {{ ref('int_region_weeks') }}

),

products as (

    select * from {{ ref('int_products_versioned') }}

)

select
    region_weeks.region,
    region_weeks.week,
    products.product_id,
    products.category,
    products.brand,
    products.package_size,
    products.launched_on,
    products.delisted_on,
    products.known_on

from region_weeks

inner join products
    on
        region_weeks.region = products.region
        and {{ is_known('products', 'region_weeks.week') }}
