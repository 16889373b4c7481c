"""What only SmartCart's own world knows: invented customers, and worlds whose truth is known."""
