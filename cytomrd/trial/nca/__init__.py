"""Non-compartmental analysis: profiles, parameters, summaries, dose proportionality."""
