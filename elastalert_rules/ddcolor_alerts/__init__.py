"""Classes that ElastAlert2 loads by dotted path; they need nothing but requests."""
