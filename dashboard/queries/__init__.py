"""Read models: what each page shows, at the right resolution, in a number of queries that never grows with targets."""
