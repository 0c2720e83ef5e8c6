"""What `cds evaluate` and `cds train` run, and the tables they need from more than one package."""
