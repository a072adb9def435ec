"""Mail that comes back: bounces, replies, complaints, unsubscribe requests."""
