"""The trial's tables: the study folder, PK, response, survival, safety, eligibility; tables in and never events."""
