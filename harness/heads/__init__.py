"""What a head is, what is known of each (a profile), and how heads are chosen. Numpy only."""
