"""The table of a study's runs, and the audit of plan against records. No torch."""
