"""The pages of `relay serve --dev`: the mails themselves, with their links, checks and words of the simulator."""
