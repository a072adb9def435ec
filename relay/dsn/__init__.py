"""Delivery status notifications: made by us, and understood when others send them."""
