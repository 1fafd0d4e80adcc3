"""What of a run goes out into the world: reports, tables. No torch here."""
