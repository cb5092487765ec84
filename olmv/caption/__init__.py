"""`olmv caption`: frame captions by a captioning model, one caption a video by a language model."""
