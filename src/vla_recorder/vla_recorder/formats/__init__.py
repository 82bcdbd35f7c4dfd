"""Episodes to and from the formats of others, and the tools that check, cut and show them."""
