"""Why a forecast is what it is: models and forecasts taken apart, nothing fitted or stored."""
