"""What the commands show: rows and tables, remarks, bars."""
