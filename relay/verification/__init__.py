"""Verifies identities: test mails, confirmation codes, DNS, and the list of verified senders."""
