"""The steps before 250 for mail that applications submit."""
