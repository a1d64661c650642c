"""What served forecasts turned out to be worth: realised errors, their decay, drift of residuals."""
