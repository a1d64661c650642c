{# Shipments that the panel leaves out: the store or the product is not known, or is closed. #}
{% test holds_every_shipment(model) %}

select shipments.*

from {{ ref('stg_lake__shipments') }} as shipments

inner join {{ ref('int_region_weeks') }} as region_weeks
    on
        shipments.region = region_weeks.region
        and shipments.week = region_weeks.week

where
    shipments.units_shipped > 0
    and not exists (
        select 1 from {{ model }} as panel
        where
            panel.region = shipments.region
            and panel.week = shipments.week
            and panel.ds = shipments.ds
            and panel.store_id = shipments.store_id
            and panel.product_id = shipments.product_id
    )

{% endtest %}
