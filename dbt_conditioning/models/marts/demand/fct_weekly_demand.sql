select
    panel.region,
    panel.week,
    panel.ds,
    panel.unique_id,
    panel.store_id,
    panel.product_id,
    coalesce(versions.units_shipped, 0) as units_shipped,
    coalesce(versions.units_returned, 0) as units_returned,
    coalesce(versions.y, 0) as y,
    versions.units_shipped is null as is_filled,
    reports.known_from is not null as is_reported,
    coalesce(judged.is_stock_out_likely, false) as is_stock_out_likely,
    coalesce(judged.is_outlier, false) as is_outlier,
    coalesce(versions.known_on, panel.week + 6) as known_on

from {{ ref('int_demand_panel') }} as panel

left join {{ ref('int_demand_versioned') }} as versions
    on
        panel.region = versions.region
        and panel.store_id = versions.store_id
        and panel.product_id = versions.product_id
        and panel.ds = versions.ds
        and {{ is_known('versions', 'panel.week') }}

left join {{ ref('int_store_reports') }} as reports
    on
        panel.region = reports.region
        and panel.store_id = reports.store_id
        and panel.ds = reports.ds
        and panel.week >= reports.known_from

left join {{ ref('int_demand_judged') }} as judged
    on
        panel.region = judged.region
        and panel.week = judged.week
        and panel.ds = judged.ds
        and panel.store_id = judged.store_id
        and panel.product_id = judged.product_id
