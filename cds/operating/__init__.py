"""Running an installation: processes, ports, logs, keys, backups, what is kept how long, and what is unsafe."""
