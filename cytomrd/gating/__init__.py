"""Gates, fitting them, applying them, and exchanging them with other programs."""
