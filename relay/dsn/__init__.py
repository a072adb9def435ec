"""Delivery status notifications: composed by relay, and parsed and classified when received."""
