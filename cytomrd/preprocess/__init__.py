"""Before gating: compensation, scales, time quality."""
