"""The stores: they implement the ports of `queue`, `events` and `reports`. `app` chooses which one is used."""
