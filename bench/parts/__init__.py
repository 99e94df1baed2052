"""What bench/versus and bench/plot are made of. Standard library only."""
