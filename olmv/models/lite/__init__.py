"""olmv-lite: a small model that sees real footage, made from published weights without any training on pictures."""
