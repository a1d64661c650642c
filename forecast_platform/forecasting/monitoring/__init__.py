"""What served forecasts were worth: realised errors, their decay, drift of residuals."""
