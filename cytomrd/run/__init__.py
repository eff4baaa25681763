"""A run folder from plan to results."""
