"""Who is told of a night, by which way, and what has not been told yet."""
