"""How we act: start, watch and stop jobs."""
