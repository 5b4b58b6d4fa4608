"""How our own probes fare: what the recorder counts by location, what workers tell, and whether a location is ill."""
