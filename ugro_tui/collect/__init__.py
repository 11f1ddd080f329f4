"""How we learn it: pollers read the nodes, tails keep the place in each file, the keeper owns the state."""
