"""`relay demo`: the main job end to end on loopback, with nothing to configure and nothing sent outside."""
