"""The parts of the store on PostgreSQL. The only place that knows psycopg."""
