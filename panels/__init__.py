"""The bundled panels, one TOML each."""
