"""The store on PostgreSQL: one database, several nodes."""
