"""`relay demo`: the main job, shown end to end on loopback."""
