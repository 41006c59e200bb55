"""Alert rules: what they are, what state their alerts are in, what is said about them; pure."""
