"""Jobs, schedules and sensors: the only code that asks the clock."""
