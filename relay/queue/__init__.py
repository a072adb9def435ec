"""The durable queue: messages and their entries, states, schedule, settling, and the loop that drives it."""
