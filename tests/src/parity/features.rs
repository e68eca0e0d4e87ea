//! What YAML and compose do to a file before its keys are read, and where the corpus uses it.
