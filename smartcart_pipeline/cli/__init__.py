"""What people type: each command in its file, `main` in front."""
