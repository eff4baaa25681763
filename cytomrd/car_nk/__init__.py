"""CAR+ NK cells: threshold, background, absolute counts."""
