"""The report: plots, pages and tables that people read."""
