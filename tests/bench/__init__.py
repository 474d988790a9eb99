"""What Perennial costs and how fast it is, counted: `make bench`. Counts and ratios, because machines are noisy."""
