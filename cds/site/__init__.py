"""What a site decides: its codes and orders, the entries of its configuration, its models, cut-offs and gates."""
