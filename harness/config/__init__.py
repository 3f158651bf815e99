"""What a YAML file may ask, and the cells that it asks for."""
