"""What comes back from the world: bounces, replies, complaints, unsubscribes."""
