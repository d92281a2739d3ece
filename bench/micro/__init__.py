"""What single steps of one answer cost, by pytest-benchmark; `make bench-check` compares them."""
