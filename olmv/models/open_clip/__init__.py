"""The families of open_clip: any of its models, by name, on the Hub or in a folder."""
