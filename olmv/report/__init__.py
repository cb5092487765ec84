"""What a run leaves behind: rows, tables, the HTML report."""
