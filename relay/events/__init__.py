"""Events of messages and their readers, and the sink and spool that store them."""
