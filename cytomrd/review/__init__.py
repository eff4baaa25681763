"""Review by people: gates moved, clusters called, results signed, and a trail of all of it."""
