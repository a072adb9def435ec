"""The stores: they implement the ports of `queue`, `events` and `reports`. Only `app` knows which one is in use."""
