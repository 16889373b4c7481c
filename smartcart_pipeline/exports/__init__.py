"""Files that companies deliver: looked into, read with all that is wrong in them, and dated."""
