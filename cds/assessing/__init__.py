"""What an assessment may rest on: whose a film or a report is, which of them counts, and the joining at order time."""
