"""Figures of the trial: exposure, response, survival, cytokines, clonal plasma cells; drawn as SVG from the tables."""
