"""What tells of a run: the page, the table, the lines on the terminal."""
