"""Whether identities work: test mails sent and seen, codes that confirm an address, and who may send by that."""
