"""Ask a library: what is looked for, which windows are that, which videos are copies."""
