"""Accepts mail that applications submit: the steps before 250."""
