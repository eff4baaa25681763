"""Minimal residual disease: clonality of plasma cells, limits, status."""
