"""Language models: one protocol, three ways to run one, and prompts that are files."""
