"""What users and files may hand in: names, values, options and records, and how a refusal shows them."""
