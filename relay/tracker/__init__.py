"""What the HTTP server behind pixels, links and unsubscribe buttons (`relay.http_tracker`) is made of."""
