"""Parts of the HTTP server of pixels, links and unsubscribe pages (`relay.http_tracker`)."""
