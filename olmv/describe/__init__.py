"""`olmv describe-labels`: what each label looks like, asked of a language model or taken from WordNet."""
