"""Context encoders, actors and critics; none of them knows Lightning or an environment."""
